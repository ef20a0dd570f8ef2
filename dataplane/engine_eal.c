#include <errno.h>
#include <inttypes.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_pci.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/engine.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "numa/clock.h"

#define HUGE_PAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define SMALL_PAGES "WEIR_SMALL_PAGES"

enum { EAL_ARGUMENTS_MAX = 16 + 2 * ENGINE_PCI_MAX };

// A count of huge pages of 2 MiB; one that cannot be read is none.
static unsigned long huge_pages(const char *path)
{
	unsigned long pages = 0;
	FILE *f = fopen(path, "re");
	if (f == NULL || fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return pages;
}

// Those that are reserved count as free until their owners touch them.
static bool huge_pages_hold(uint64_t bytes)
{
	enum { PAGE = 2 << 20 };
	unsigned long available = huge_pages(HUGE_PAGES "free_hugepages");
	unsigned long reserved = huge_pages(HUGE_PAGES "resv_hugepages");
	return getenv(SMALL_PAGES) == NULL && available > reserved &&
		(available - reserved) * PAGE >= bytes;
}

// The arguments of this process, which its parsers may have moved.  Returns NULL without /proc.
static char **arguments_create(void)
{
	char *text = NULL;
	size_t room = 0, count = 0;
	FILE *f = fopen("/proc/self/cmdline", "re");
	ssize_t bytes = f != NULL ? getdelim(&text, &room, EOF, f) : -1;
	if (f != NULL)
		fclose(f);
	char **arguments = bytes > 0 ? calloc((size_t)bytes + 1, sizeof(char *)) : NULL;
	for (ssize_t at = 0; arguments != NULL && at < bytes; at += (ssize_t)strlen(text + at) + 1)
		arguments[count++] = text + at;
	if (arguments == NULL)
		free(text);
	return arguments;
}

static void arguments_destroy(char **arguments)
{
	free(arguments[0]);
	free(arguments);
}

int engine_eal_start_over(void)
{
	char **arguments = getenv(SMALL_PAGES) == NULL ? arguments_create() : NULL;
	if (arguments == NULL)
		return -ENOMEM;
	fprintf(stderr,
		"weir: others took the huge pages, or they are not allowed here; DPDK goes "
		"on without, and frames cost more time\n");
	fflush(NULL);
	setenv(SMALL_PAGES, "1", 1);
	execv("/proc/self/exe", arguments);
	int error = errno;
	arguments_destroy(arguments);
	return -error;
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
static int check_surroundings(void)
{
	enum { NEEDED = 32 };
	struct rlimit limit;
	if (access("/proc/meminfo", R_OK) < 0 || access("/sys/devices/system/cpu", R_OK) < 0) {
		fputs("weir: DPDK reads /proc and /sys, and one of them is not there; mount it\n",
			stderr);
		return -ENOENT;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= NEEDED)
		return 0;
	fprintf(stderr, "weir: only %llu files may be open; allow at least %d (ulimit -n %d)\n",
		(unsigned long long)limit.rlim_cur, NEEDED, NEEDED);
	return -EMFILE;
}

// What EAL says of huge pages that it does not get is kept back; without them it says it aloud.
static int init_quietly(int count, char **arguments)
{
	FILE *shown = stderr, *nowhere = fopen("/dev/null", "we");
	stderr = nowhere != NULL ? nowhere : shown;
	int result = rte_eal_init(count, arguments);
	stderr = shown;
	if (nowhere != NULL)
		fclose(nowhere);
	return result;
}

// EAL would touch all of it, page after page, until the kernel kills somebody.
static int check_memory(uint64_t bytes)
{
	uint64_t available = arena_available_bytes();
	if (available == 0 || bytes <= available)
		return 0;
	fprintf(stderr,
		"weir: %" PRIu64 " MiB are asked for frames and %" PRIu64 " MiB are free; ask for "
		"less (`memory` in a node's file), or free some\n",
		bytes >> 20, available >> 20);
	return -ENOMEM;
}

static int eal_failed(bool huge, int error, const cpu_set_t *before)
{
	sched_setaffinity(0, sizeof(*before), before);
	if (huge)
		engine_eal_start_over();
	fprintf(stderr, "weir: DPDK's EAL did not start (%s); %s\n", rte_strerror(error),
		huge ? "set " SMALL_PAGES "=1, which leaves huge pages to others"
		     : "is memory short, or locked memory limited (ulimit -l)?");
	return -error;
}

bool engine_eal_is_pci(const char *device)
{
	struct rte_pci_addr address;
	char name[PCI_PRI_STR_SIZE + 1];
	size_t bytes = strcspn(device, ",");
	if (bytes >= sizeof(name))
		return false;
	memcpy(name, device, bytes);
	name[bytes] = '\0';
	return rte_pci_addr_parse(name, &address) == 0;
}

// EAL's command line. Of the PCI bus it sees only what it is to use: it would take others as well.
static int arguments_make(const struct engine_eal_config *config, bool huge, char *memory,
	char *lcore, char *out[EAL_ARGUMENTS_MAX])
{
	int count = 0;
	out[count++] = "weir";
	out[count++] = "--lcores";
	out[count++] = lcore;
	out[count++] = "--no-telemetry";
	out[count++] = "--log-level";
	out[count++] = "critical";
	if (config->pci_count == 0)
		out[count++] = "--no-pci";
	for (uint32_t i = 0; i < config->pci_count; i++) {
		out[count++] = "--allow";
		out[count++] = (char *)(uintptr_t)config->pci[i];
	}
	out[count++] = huge ? "--in-memory" : "--no-huge";
	if (!huge) {
		out[count++] = "--no-shconf";
		out[count++] = "-m";
		out[count++] = memory;
	}
	out[count] = NULL;
	return count;
}

int engine_eal_start(uint64_t bytes, bool *ret_huge)
{
	const struct engine_eal_config config = {.bytes = bytes};
	return engine_eal_start_with(&config, ret_huge);
}

int engine_eal_start_with(const struct engine_eal_config *config, bool *ret_huge)
{
	char memory[32], lcore[32], *arguments[EAL_ARGUMENTS_MAX];
	cpu_set_t before;
	bool huge = huge_pages_hold(config->bytes + (64u << 20));
	VERIFY(config->pci_count <= ENGINE_PCI_MAX);
	snprintf(memory, sizeof(memory), "%llu", (unsigned long long)(config->bytes >> 20));
	snprintf(lcore, sizeof(lcore), "0@%d", sched_getcpu());
	int count = arguments_make(config, huge, memory, lcore, arguments);
	int error = check_surroundings();
	if (error == 0)
		error = check_memory(config->bytes);
	if (error < 0)
		return error;
	if (sched_getaffinity(0, sizeof(before), &before) != 0)
		return -errno;
	choose_runtime_folder();
	if ((huge ? init_quietly(count, arguments) : rte_eal_init(count, arguments)) < 0)
		return eal_failed(huge, rte_errno, &before);
	sched_setaffinity(0, sizeof(before), &before); // the agent is not pinned
	clock_init();
	*ret_huge = huge;
	return 0;
}
