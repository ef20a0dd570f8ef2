#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/engine.h"
#include "numa/clock.h"

// Free huge pages of 2 MiB; a count that cannot be read is none.
static unsigned long free_huge_pages(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	if (f == NULL || fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return pages;
}

// EAL wants a folder of its own even where it shares nothing, and takes one that is the same for
// all users; an ordinary user gets one apart.
static void choose_runtime_folder(void)
{
	char folder[64];
	if (getuid() == 0 || getenv("XDG_RUNTIME_DIR") != NULL)
		return;
	snprintf(folder, sizeof(folder), "/tmp/weir-%u", getuid());
	mkdir(folder, 0700);
	setenv("XDG_RUNTIME_DIR", folder, 0);
}

// EAL aborts where it cannot open what it needs, so it is not begun then.
static int check_open_files(void)
{
	enum { NEEDED = 32 };
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= NEEDED)
		return 0;
	fprintf(stderr, "weir: only %llu files may be open; allow at least %d (ulimit -n %d)\n",
		(unsigned long long)limit.rlim_cur, NEEDED, NEEDED);
	return -EMFILE;
}

int engine_eal_start(uint64_t no_huge_bytes, bool *ret_huge)
{
	enum { PAGE = 2 << 20 };
	char memory[32], lcore[32];
	cpu_set_t before;
	bool huge = free_huge_pages() * PAGE >= no_huge_bytes + (64u << 20);
	snprintf(memory, sizeof(memory), "%llu", (unsigned long long)(no_huge_bytes >> 20));
	snprintf(lcore, sizeof(lcore), "0@%d", sched_getcpu());
	char *common[] = {"weir", "--lcores", lcore, "--no-pci", "--no-telemetry", "--log-level",
		"error", huge ? "--in-memory" : "--no-huge", "--no-shconf", "-m", memory, NULL};
	int count = huge ? 8 : 11;
	if (check_open_files() < 0)
		return -EMFILE;
	if (sched_getaffinity(0, sizeof(before), &before) != 0)
		return -errno;
	choose_runtime_folder();
	if (rte_eal_init(count, common) < 0) {
		int error = rte_errno;
		fprintf(stderr, "weir: DPDK's EAL did not start (%s); is another job holding the "
				"huge pages or locked memory?\n", rte_strerror(error));
		return -error;
	}
	sched_setaffinity(0, sizeof(before), &before); // the agent is not pinned
	clock_init();
	*ret_huge = huge;
	return 0;
}
