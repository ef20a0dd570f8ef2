#include "numa/quota.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned tighter(unsigned a, unsigned b)
{
	return a == 0 || (b > 0 && b < a) ? b : a;
}

// Read up to two numbers from folder/file; "max" and -1 stand for no limit and are read as such.
static int read_numbers(const char *folder, const char *file, long long *first, long long *second)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
		return 0;
	FILE *in = fopen(path, "r");
	if (!in)
		return 0;
	int got = fscanf(in, "%lld %lld", first, second);
	fclose(in);
	return got;
}

static unsigned read_folder(const char *folder, bool unified)
{
	long long quota, period, unused;
	bool told = unified ? read_numbers(folder, "cpu.max", &quota, &period) == 2
			    : read_numbers(folder, "cpu.cfs_quota_us", &quota, &unused) == 1 &&
			read_numbers(folder, "cpu.cfs_period_us", &period, &unused) == 1;
	if (!told || quota <= 0 || period <= 0 || quota > LLONG_MAX / 1000)
		return 0;
	long long millis = quota * 1000 / period;
	return millis < 1 ? 1 : millis < UINT_MAX ? millis : 0;
}

// From the group at `path` up to the root; a container may not see the groups above its own.
static unsigned read_upwards(const char *base, char *path, bool unified)
{
	unsigned tightest = 0;
	for (;;) {
		char folder[PATH_MAX];
		if (snprintf(folder, sizeof(folder), "%s%s", base, path) < (int)sizeof(folder))
			tightest = tighter(tightest, read_folder(folder, unified));
		char *last = strrchr(path, '/');
		if (!last)
			return tightest;
		*last = '\0';
	}
}

static bool lists_cpu(const char *controllers)
{
	for (const char *at = controllers; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strcspn(at, ",") == 3 && !strncmp(at, "cpu", 3))
			return true;
	}
	return false;
}

// A line is "number:controllers:path"; version 2 names no controllers.
static unsigned read_line(char *line, const char *root)
{
	char base[PATH_MAX];
	char *controllers = strchr(line, ':'), *path = NULL;
	if (controllers)
		path = strchr(++controllers, ':');
	if (!path)
		return 0;
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	bool unified = *controllers == '\0';
	if (!unified && !lists_cpu(controllers))
		return 0;
	if (snprintf(base, sizeof(base), "%s%s", root, unified ? "" : "/cpu") >= (int)sizeof(base))
		return 0;
	return read_upwards(base, path, unified);
}

unsigned quota_read(const char *self, const char *root)
{
	unsigned tightest = 0;
	char *line = NULL;
	size_t bytes = 0;
	FILE *in = fopen(self, "r");
	if (!in)
		return 0;
	while (getline(&line, &bytes, in) > 0)
		tightest = tighter(tightest, read_line(line, root));
	free(line);
	fclose(in);
	return tightest;
}
