#include "control/core_claim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME "weir-cpu-"

// A name is bound before others are looked for, so of two jobs that start together one notices.
static void claim_one(struct core_claim *claim, int cpu)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int bytes = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, NAME "%d-%d", cpu,
		(int)getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	socklen_t length = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)bytes;
	if (bind(fd, (struct sockaddr *)&address, length) == 0)
		claim->sockets[claim->count++] = fd;
	else
		close(fd);
}

static bool is_ours(const int *cpus, uint32_t count, int cpu)
{
	uint32_t i = 0;
	while (i < count && cpus[i] != cpu)
		i++;
	return i < count;
}

size_t core_claim_others(unsigned *cpus, size_t room)
{
	char line[512];
	size_t count = 0;
	unsigned cpu;
	int pid;
	FILE *f = fopen("/proc/net/unix", "re");
	while (f != NULL && count < room && fgets(line, sizeof(line), f) != NULL) {
		const char *name = strstr(line, " @" NAME);
		if (name == NULL || sscanf(name, " @" NAME "%u-%d", &cpu, &pid) != 2 ||
			pid == getpid())
			continue;
		size_t i = 0;
		while (i < count && cpus[i] != cpu)
			i++;
		cpus[i] = cpu;
		count += i == count;
	}
	if (f != NULL)
		fclose(f);
	return count;
}

int core_claim_take(struct core_claim *claim, const int *cpus, uint32_t count)
{
	unsigned others[CORE_CLAIM_MAX];
	claim->count = 0;
	for (uint32_t i = 0; i < count && claim->count < CORE_CLAIM_MAX; i++)
		if (!is_ours(cpus, i, cpus[i])) // workers may share one
			claim_one(claim, cpus[i]);
	size_t other_count = core_claim_others(others, CORE_CLAIM_MAX);
	for (size_t i = 0; i < other_count; i++)
		if (is_ours(cpus, count, (int)others[i]))
			return (int)others[i];
	return -1;
}

void core_claim_release(struct core_claim *claim)
{
	while (claim->count > 0)
		close(claim->sockets[--claim->count]);
}
