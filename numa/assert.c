#include "numa/assert.h"

#include <stdio.h>
#include <stdlib.h>

noreturn void assert_fail(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
	abort();
}
