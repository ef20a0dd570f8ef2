#include "control/cpus.h"

#include <stdbool.h>
#include <stdlib.h>

enum { CPUS_MAX = 4096 };

// Digits only; no sign, no space.
static bool number(const char **at, unsigned *ret_value)
{
	char *end;
	if (**at < '0' || **at > '9')
		return false;
	unsigned long value = strtoul(*at, &end, 10);
	*at = end;
	*ret_value = (unsigned)value;
	return value < CPUS_MAX;
}

const char *cpus_parse(struct heap *heap, const char *text, unsigned **ret_cpus,
	uint32_t *ret_count)
{
	static const char problem[] = "is no list of CPUs; write OS indices, as in 2-5,8";
	unsigned *cpus = heap_alloc(heap, CPUS_MAX * sizeof(*cpus));
	uint32_t count = 0;
	for (;; text++) {
		unsigned first, last;
		if (!number(&text, &first))
			return problem;
		last = first;
		if (*text == '-' && (text++, !number(&text, &last)))
			return problem;
		if (last < first || count + (last - first) + 1 > CPUS_MAX)
			return problem;
		while (first <= last)
			cpus[count++] = first++;
		if (!*text)
			break;
		if (*text != ',')
			return problem;
	}
	*ret_cpus = cpus;
	*ret_count = count;
	return NULL;
}
