#include "control/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "numa/pin.h"

// Giving back is for when nobody else has anything to do: now others take over.
enum { STACK_BYTES = 16 << 10, LAST_NICE = 19 };

struct kept {
	int process;     // a descriptor
	cpu_set_t *cpus; // for the keeper; NULL: as for the process
	size_t cpus_bytes;
};

// clone(), under the name that ThreadSanitizer leaves alone: it takes clone() for a fork.
extern int __clone(int (*run)(void *), void *stack, int flags, void *argument, ...);

// Shares the caller's thread-local memory as well, errno and a sanitizer's too, so nothing here
// may fail or be intercepted once the caller goes on. It may when all other files are closed.
__attribute__((no_sanitize("address", "thread", "undefined"))) static int keep(void *argument)
{
	const struct kept *kept = argument;
	struct pollfd ended = {.fd = 0, .events = POLLIN};
	syscall(SYS_prctl, PR_SET_NAME, "weir-keeper");
	syscall(SYS_setpriority, PRIO_PROCESS, 0, LAST_NICE);
	if (kept->cpus != NULL)
		syscall(SYS_sched_setaffinity, 0, kept->cpus_bytes, kept->cpus);
	if (syscall(SYS_dup2, kept->process, ended.fd) == ended.fd &&
		syscall(SYS_close_range, 1, ~0U, 0) == 0)
		while (syscall(SYS_poll, &ended, 1, -1) == 0)
			;
	syscall(SYS_exit, 0);
	return 0;
}

static int start(struct kept *kept)
{
	static _Alignas(64) uint8_t stack[STACK_BYTES];
	sigset_t all, before;
	int closed[2];
	uint8_t none;
	if (pipe2(closed, O_CLOEXEC) < 0)
		return -errno;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	int rc = __clone(keep, stack + STACK_BYTES, CLONE_VM, kept) < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(closed[1]);
	while (rc == 0 && read(closed[0], &none, 1) < 0) // until the keeper has closed its copy
		rc = errno == EINTR ? 0 : -errno;
	close(closed[0]);
	return rc;
}

// Those that the process may run on, without `cpus`.
static void choose_cpus(struct kept *kept, const int *cpus, uint32_t count)
{
	unsigned *allowed;
	size_t allowed_count;
	if (pin_allowed(&allowed, &allowed_count) != 0 || allowed_count == 0)
		return;
	unsigned size = allowed[allowed_count - 1] + 1;
	kept->cpus = CPU_ALLOC(size);
	kept->cpus_bytes = CPU_ALLOC_SIZE(size);
	if (kept->cpus != NULL) {
		CPU_ZERO_S(kept->cpus_bytes, kept->cpus);
		for (size_t i = 0; i < allowed_count; i++)
			CPU_SET_S(allowed[i], kept->cpus_bytes, kept->cpus);
		for (uint32_t i = 0; i < count; i++)
			CPU_CLR_S((unsigned)cpus[i], kept->cpus_bytes, kept->cpus);
	}
	free(allowed);
	if (kept->cpus != NULL && CPU_COUNT_S(kept->cpus_bytes, kept->cpus) == 0) {
		CPU_FREE(kept->cpus);
		kept->cpus = NULL;
	}
}

int keeper_start(const int *cpus, uint32_t count)
{
	struct kept kept = {.process = (int)syscall(SYS_pidfd_open, getpid(), 0)};
	if (kept.process < 0)
		return -errno;
	choose_cpus(&kept, cpus, count);
	int rc = start(&kept);
	CPU_FREE(kept.cpus);
	close(kept.process);
	return rc;
}
