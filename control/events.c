#include <stdarg.h>
#include <stdio.h>

#include "control/controller_parts.h"

void events_add(struct controller *c, const char *format, ...)
{
	struct event_line *line = &c->events[c->event_count++ % EVENTS_MAX];
	va_list arguments;
	line->wall_ns = c->wall_ns;
	va_start(arguments, format);
	vsnprintf(line->text, sizeof(line->text), format, arguments);
	va_end(arguments);
}
