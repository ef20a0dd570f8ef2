#include "control/errors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_DEPTH_MAX = 64 };

// What a user wrote is quoted in messages: no line break or escape sequence may come along.
static void one_line(char *text)
{
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7F)
			*at = '?';
}

static void errors_append(struct errors *errors, const char *file, uint32_t line, char *text)
{
	one_line(text);
	if (errors->count < ERRORS_MAX)
		errors->lines[errors->count] = (struct error_line){file, line, text};
	errors->count++;
}

void errors_add(struct errors *errors, const char *file, uint32_t line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	errors_append(errors, heap_text(errors->heap, file, strlen(file)), line,
		heap_vprintf(errors->heap, format, arguments));
	va_end(arguments);
}

static uint32_t errors_kept(const struct errors *errors)
{
	return errors->count < ERRORS_MAX ? errors->count : ERRORS_MAX;
}

// Insertion keeps errors of one line in the order in which they were found.
static void errors_sort(struct errors *errors)
{
	for (uint32_t i = 1; i < errors_kept(errors); i++) {
		struct error_line moved = errors->lines[i];
		uint32_t at = i;
		for (; at > 0 && errors->lines[at - 1].line > moved.line; at--)
			errors->lines[at] = errors->lines[at - 1];
		errors->lines[at] = moved;
	}
}

void errors_print(struct errors *errors, FILE *out)
{
	errors_sort(errors);
	for (uint32_t i = 0; i < errors_kept(errors); i++) {
		const struct error_line *e = &errors->lines[i];
		if (e->line)
			fprintf(out, "%s:%u: %s\n", e->file, e->line, e->text);
		else
			fprintf(out, "%s: %s\n", e->file, e->text);
	}
	if (errors->count > ERRORS_MAX)
		fprintf(out, "and %u more\n", errors->count - ERRORS_MAX);
}

struct path {
	const struct weir_value *steps[PATH_DEPTH_MAX];
	uint32_t index[PATH_DEPTH_MAX]; // of the step in its parent
	uint32_t depth;
};

static bool path_search(const struct weir_value *from, const struct weir_value *at,
	struct path *path)
{
	if (from == at)
		return true;
	if (path->depth == PATH_DEPTH_MAX)
		return false;
	for (uint32_t i = 0; i < from->count; i++) {
		path->steps[path->depth] = from->items[i];
		path->index[path->depth++] = i;
		if (path_search(from->items[i], at, path))
			return true;
		path->depth--;
	}
	return false;
}

const char *value_path(struct heap *heap, const struct value_root *root,
	const struct weir_value *at)
{
	struct path path = {.depth = 0};
	const char *text = root->name;
	if (!at || !path_search(root->value, at, &path))
		return text;
	for (uint32_t i = 0; i < path.depth; i++) {
		const char *name = path.steps[i]->name;
		if (name)
			text = heap_printf(heap, "%s%s%s", text, *text ? "." : "", name);
		else
			text = heap_printf(heap, "%s[%u]", text, path.index[i] + 1);
	}
	return text;
}

void errors_add_at(struct errors *errors, const struct value_root *root,
	const struct weir_value *at, const char *format, ...)
{
	const struct weir_value *place = at ? at : root->value;
	const char *path = value_path(errors->heap, root, at);
	va_list arguments;
	va_start(arguments, format);
	const char *text = heap_vprintf(errors->heap, format, arguments);
	va_end(arguments);
	errors_append(errors, place->file, place->line,
		heap_printf(errors->heap, "%s%s%s", path, *path ? ": " : "", text));
}
