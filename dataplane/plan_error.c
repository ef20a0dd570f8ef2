#include <stdio.h>

#include "dataplane/operator.h"

void weir_plan_error(struct weir_plan *plan, const struct weir_value *at, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	plan->error(plan, at, text);
}
