#include "tests/sim/trace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "numa/assert.h"

static const char *path;
static FILE *events; // of this seed; NULL: between two
static char *text;
static size_t bytes;

void trace_to(const char *file)
{
	path = file;
}

bool trace_is_on(void)
{
	return path != NULL;
}

void trace_begin(uint64_t seed, const char *world)
{
	if (path == NULL)
		return;
	events = open_memstream(&text, &bytes);
	VERIFY(events != NULL);
	fprintf(events, "0 - seed number=%" PRIu64 " world=%s\n", seed, world);
}

// Several processes append to one file.
void trace_end(void)
{
	if (events == NULL)
		return;
	VERIFY(fclose(events) == 0);
	events = NULL;
	int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
	VERIFY(file >= 0);
	ssize_t written = write(file, text, bytes);
	VERIFY(written == (ssize_t)bytes);
	close(file);
	free(text);
}

void trace_event(int64_t now_ns, const char *node, const char *event, const char *format, ...)
{
	va_list arguments;
	if (events == NULL)
		return;
	fprintf(events, "%" PRId64 " %s %s ", now_ns, node, event);
	va_start(arguments, format);
	vfprintf(events, format, arguments);
	va_end(arguments);
	fputc('\n', events);
}
