// Assertions. ASSERT guards invariants in debug, test and simulator builds; VERIFY always does and
// stays off the hot path. Both end the process with the place and the condition.
#pragma once

#include <stdnoreturn.h>

#ifndef WEIR_ASSERT
#define WEIR_ASSERT 0
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

noreturn void assert_fail(const char *file, int line, const char *condition);

#define VERIFY(condition)                                                                          \
	do {                                                                                       \
		if (UNLIKELY(!(condition)))                                                        \
			assert_fail(__FILE__, __LINE__, #condition);                               \
	} while (0)

// Always compiled, so that a condition cannot rot; evaluated only where WEIR_ASSERT is 1.
#define ASSERT(condition)                                                                          \
	do {                                                                                       \
		if (WEIR_ASSERT)                                                                   \
			VERIFY(condition);                                                         \
	} while (0)
