#include "tests/sim/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "numa/assert.h"
#include "tests/sim/world.h"

enum { KILLS_MIN = 3, KILLS_MAX = 6 };

struct lines {
	char *text;
	size_t bytes;
	const char **lines;
	size_t count;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool read_text(const char *path, struct lines *l)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return false;
	fseek(f, 0, SEEK_END);
	l->bytes = (size_t)ftell(f);
	rewind(f);
	l->text = malloc(l->bytes + 1);
	VERIFY(l->text != NULL && fread(l->text, 1, l->bytes, f) == l->bytes);
	l->text[l->bytes] = 0;
	fclose(f);
	return true;
}

// Sorted, for tasks are stepped in another order every time. A byte 0 ends a line, too, so that a
// hole in a file shows.  The file is removed.
static struct lines lines_take(const char *path)
{
	struct lines l = {0};
	if (!read_text(path, &l))
		return l;
	l.lines = malloc((l.bytes + 1) * sizeof(*l.lines));
	VERIFY(l.lines != NULL);
	char *line = l.text;
	for (size_t i = 0; i < l.bytes; i++) {
		if (l.text[i] != '\n' && l.text[i] != 0)
			continue;
		l.text[i] = 0;
		l.lines[l.count++] = line;
		line = l.text + i + 1;
	}
	l.lines[l.count++] = line; // what no line feed ends
	qsort(l.lines, l.count, sizeof(*l.lines), compare);
	unlink(path);
	return l;
}

static void lines_free(struct lines *l)
{
	free(l->text);
	free(l->lines);
}

static bool lines_equal(const struct lines *wanted, const struct lines *got)
{
	size_t at = 0;
	while (at < wanted->count && at < got->count &&
		strcmp(wanted->lines[at], got->lines[at]) == 0)
		at++;
	if (at == wanted->count && at == got->count)
		return true;
	fprintf(stderr, "  line %zu of %zu: %s\n  must be, of %zu: %s\n", at, got->count,
		at < got->count ? got->lines[at] : "-", wanted->count,
		at < wanted->count ? wanted->lines[at] : "-");
	return false;
}

static bool run(const struct scenario *s, struct lines out[static SCENARIO_QUERIES_MAX])
{
	struct world world;
	bool good = world_create(&world, s);
	if (good) {
		world_run(&world);
		good = !world.violated;
	}
	world_destroy(&world);
	for (uint32_t i = 0; i < s->query_count; i++) {
		char path[96];
		snprintf(path, sizeof(path), "%s/%u.csv", s->folder, i);
		out[i] = lines_take(path);
	}
	return good;
}

bool files_run_seed(uint64_t seed, bool verbose)
{
	struct scenario s;
	struct lines wanted[SCENARIO_QUERIES_MAX] = {0}, got[SCENARIO_QUERIES_MAX] = {0};
	char folder[] = "/tmp/weir-sim-XXXXXX";
	struct random random = {seed};
	VERIFY(mkdtemp(folder) != NULL);
	scenario_draw(&s, seed);
	scenario_to_files(&s, folder);
	s.kills = 0;
	bool good = run(&s, wanted);
	s.kills = (uint32_t)random_in(&random, KILLS_MIN, KILLS_MAX);
	good = good && run(&s, got);
	for (uint32_t i = 0; i < s.query_count; i++) {
		good = good && lines_equal(&wanted[i], &got[i]);
		lines_free(&wanted[i]);
		lines_free(&got[i]);
	}
	if (rmdir(folder) != 0) {
		fprintf(stderr, "  something is left in %s\n", folder);
		good = false;
	}
	if (!good || verbose)
		fprintf(stderr, "seed %" PRIu64 ", job:\n%s", seed, s.job);
	return good;
}
