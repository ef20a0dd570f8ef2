#include "numa/pin.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

enum { PUS_FIRST = 1024, PUS_MAX = 1 << 20 };

int pin_thread(unsigned pu)
{
	if (pu >= PUS_MAX)
		return -EINVAL;
	cpu_set_t *set = CPU_ALLOC(pu + 1);
	if (!set)
		return -ENOMEM;
	size_t bytes = CPU_ALLOC_SIZE(pu + 1);
	CPU_ZERO_S(bytes, set);
	CPU_SET_S(pu, bytes, set);
	int rc = sched_setaffinity(0, bytes, set) ? -errno : 0;
	CPU_FREE(set);
	return rc;
}

// The kernel refuses (EINVAL) a set smaller than its own, whose size it does not tell.
static int affinity_read(cpu_set_t **ret_set, unsigned *ret_pus)
{
	for (unsigned pus = PUS_FIRST; pus <= PUS_MAX; pus *= 2) {
		cpu_set_t *set = CPU_ALLOC(pus);
		if (!set)
			return -ENOMEM;
		if (sched_getaffinity(0, CPU_ALLOC_SIZE(pus), set) == 0) {
			*ret_set = set;
			*ret_pus = pus;
			return 0;
		}
		int rc = -errno;
		CPU_FREE(set);
		if (rc != -EINVAL)
			return rc;
	}
	return -E2BIG;
}

int pin_allowed(unsigned **ret_pus, size_t *ret_count)
{
	cpu_set_t *set;
	unsigned size = 0;
	int rc = affinity_read(&set, &size);
	if (rc)
		return rc;
	size_t count = CPU_COUNT_S(CPU_ALLOC_SIZE(size), set), at = 0;
	unsigned *pus = malloc(count * sizeof(*pus));
	if (!pus)
		rc = -ENOMEM;
	for (unsigned pu = 0; pus && pu < size; pu++)
		if (CPU_ISSET_S(pu, CPU_ALLOC_SIZE(size), set))
			pus[at++] = pu;
	CPU_FREE(set);
	if (!rc) {
		*ret_pus = pus;
		*ret_count = count;
	}
	return rc;
}
