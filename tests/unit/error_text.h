// For tests of messages: what errors_print would print, and one assertion on it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/errors.h"

static inline void assert_errors(struct errors *errors, const char *expected)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	errors_print(errors, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}
