#include "control/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "numa/assert.h"
#include "state/utf8.h"

// One parse: libfyaml's events are turned into values by descent.
struct yaml {
	struct heap *heap;
	struct errors *errors;
	const char *file;
	struct fy_diag *diag;
	struct fy_parser *parser;
	struct fy_event *event; // the one looked at, NULL at the end or after an error
	uint32_t line;          // of the last token that had a place
	uint32_t depth, values;
};

static struct weir_value *yaml_value(struct yaml *y, const char *name, uint32_t line);

void value_append(struct heap *heap, struct weir_value *parent, struct weir_value *child)
{
	uint32_t count = parent->count;
	if ((count & (count - 1)) == 0) { // a power of two, or none: the room is used up
		size_t room = count ? 2 * (size_t)count : 1;
		struct weir_value **items = heap_alloc(heap, room * sizeof(*items));
		if (count)
			memcpy(items, parent->items, count * sizeof(*items));
		parent->items = items;
	}
	parent->items[parent->count++] = child;
}

static struct fy_token *event_token(const struct fy_event *e)
{
	switch (e->type) {
	case FYET_SCALAR:
		return e->scalar.value;
	case FYET_MAPPING_START:
		return e->mapping_start.mapping_start;
	case FYET_SEQUENCE_START:
		return e->sequence_start.sequence_start;
	case FYET_ALIAS:
		return e->alias.anchor;
	case FYET_DOCUMENT_START:
		return e->document_start.document_start;
	default:
		return NULL;
	}
}

static void yaml_next(struct yaml *y)
{
	fy_parser_event_free(y->parser, y->event);
	y->event = fy_parser_parse(y->parser);
	struct fy_token *token = y->event ? event_token(y->event) : NULL;
	const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
	if (mark)
		y->line = (uint32_t)mark->line + 1;
}

static void *yaml_reject(struct yaml *y, uint32_t line, const char *what)
{
	errors_add(y->errors, y->file, line ? line : 1, "%s", what);
	return NULL;
}

// Anchors and tags hang on any event that begins a value.
static bool event_is_plain(const struct fy_event *e)
{
	switch (e->type) {
	case FYET_SCALAR:
		return !e->scalar.anchor && !e->scalar.tag;
	case FYET_MAPPING_START:
		return !e->mapping_start.anchor && !e->mapping_start.tag;
	case FYET_SEQUENCE_START:
		return !e->sequence_start.anchor && !e->sequence_start.tag;
	default:
		return e->type != FYET_ALIAS;
	}
}

static bool yaml_scalar_text(struct yaml *y, const char **ret_text)
{
	struct fy_token *token = y->event->scalar.value;
	size_t bytes = 0;
	const char *text = token ? fy_token_get_text(token, &bytes) : NULL;
	if (!text || (bytes == 0 && fy_token_scalar_style(token) == FYSS_PLAIN)) {
		*ret_text = NULL;
		return true;
	}
	if (memchr(text, 0, bytes) || !utf8_is_valid((const uint8_t *)text, bytes)) {
		yaml_reject(y, y->line, "text with an escape that is no character; remove it");
		return false;
	}
	*ret_text = heap_text(y->heap, text, bytes);
	return true;
}

static void yaml_check_twice(struct yaml *y, const struct weir_value *map, const char *name)
{
	for (uint32_t i = 0; i < map->count; i++)
		if (strcmp(map->items[i]->name, name) == 0)
			errors_add(y->errors, y->file, y->line,
				"%s: given twice, first in line %u; remove one", name,
				map->items[i]->line);
}

static const char *yaml_key(struct yaml *y)
{
	const char *key;
	if (y->event->type == FYET_ALIAS || !event_is_plain(y->event))
		return yaml_reject(y, y->line,
			"anchors, aliases and tags (& * !) are not supported; write the value out");
	if (y->event->type != FYET_SCALAR || !yaml_scalar_text(y, &key) || !key)
		return yaml_reject(y, y->line, "a key must be a plain word");
	if (strcmp(key, "<<") == 0)
		return yaml_reject(y, y->line,
			"merge keys (<<) are not supported; write the values out");
	return key;
}

static struct weir_value *yaml_map(struct yaml *y, struct weir_value *map)
{
	yaml_next(y);
	while (y->event && y->event->type != FYET_MAPPING_END) {
		const char *key = yaml_key(y);
		if (!key)
			return NULL;
		if (map->line == 0 || map->line > y->line)
			map->line = y->line;
		yaml_check_twice(y, map, key);
		uint32_t line = y->line;
		yaml_next(y);
		struct weir_value *value = y->event ? yaml_value(y, key, line) : NULL;
		if (!value)
			return NULL;
		value_append(y->heap, map, value);
	}
	return y->event ? map : NULL;
}

static struct weir_value *yaml_list(struct yaml *y, struct weir_value *list)
{
	yaml_next(y);
	while (y->event && y->event->type != FYET_SEQUENCE_END) {
		struct weir_value *item = yaml_value(y, NULL, 0);
		if (!item)
			return NULL;
		value_append(y->heap, list, item);
	}
	return y->event ? list : NULL;
}

static struct weir_value *yaml_collection(struct yaml *y, struct weir_value *value)
{
	if (y->depth == YAML_DEPTH_MAX)
		return yaml_reject(y, y->line, "nested too deeply; 24 levels are allowed");
	y->depth++;
	bool map = y->event->type == FYET_MAPPING_START;
	value->kind = map ? WEIR_VALUE_MAP : WEIR_VALUE_LIST;
	value = map ? yaml_map(y, value) : yaml_list(y, value);
	y->depth--;
	return value;
}

// The value at the current event, which is left behind. `line` is the key's, 0 without a key.
static struct weir_value *yaml_value(struct yaml *y, const char *name, uint32_t line)
{
	if (y->event->type == FYET_ALIAS || !event_is_plain(y->event))
		return yaml_reject(y, y->line,
			"anchors, aliases and tags (& * !) are not supported; write the value out");
	if (++y->values > YAML_VALUES_MAX)
		return yaml_reject(y, y->line, "more than 10000 values; is this a job file?");
	struct weir_value *value = heap_alloc(y->heap, sizeof(*value));
	*value = (struct weir_value){.name = name, .file = y->file, .line = line ? line : y->line};
	if (y->event->type != FYET_SCALAR) {
		value = yaml_collection(y, value);
	} else {
		if (!yaml_scalar_text(y, &value->text))
			return NULL;
		if (value->text)
			value->line = y->line;
	}
	if (value)
		yaml_next(y);
	return value;
}

static void yaml_report_syntax(struct yaml *y)
{
	void *at = NULL;
	const struct fy_diag_error *e = fy_diag_errors_iterate(y->diag, &at);
	uint32_t line = e && e->line > 0 ? (uint32_t)e->line : y->line;
	errors_add(y->errors, y->file, line ? line : 1,
		"not YAML: %s; check indentation, brackets and quotes around here",
		e && e->msg ? e->msg : "cannot be read");
}

static struct weir_value *yaml_document(struct yaml *y)
{
	yaml_next(y);
	if (y->event && y->event->type == FYET_STREAM_START)
		yaml_next(y);
	if (y->event && y->event->type == FYET_STREAM_END)
		return yaml_reject(y, 1, "the file is empty; `--help` of its program shows one");
	if (y->event && y->event->type == FYET_DOCUMENT_START)
		yaml_next(y);
	struct weir_value *root = y->event ? yaml_value(y, NULL, 0) : NULL;
	if (root && y->event && y->event->type == FYET_DOCUMENT_END)
		yaml_next(y);
	if (root && y->event && y->event->type != FYET_STREAM_END)
		return yaml_reject(y, y->line,
			"a second document begins; keep one in a file, without further `---`");
	return y->event ? root : NULL;
}

// Parse what is known to be UTF-8 without NULs.
static struct weir_value *yaml_run(struct yaml *y, const char *text, size_t bytes)
{
	struct weir_value *root = NULL;
	struct fy_diag_cfg diag_cfg;
	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	y->diag = fy_diag_create(&diag_cfg);
	VERIFY(y->diag);
	fy_diag_set_collect_errors(y->diag, true);
	struct fy_parse_cfg cfg = {.diag = y->diag,
		.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE};
	y->parser = fy_parser_create(&cfg);
	VERIFY(y->parser);
	uint32_t before = y->errors->count;
	if (fy_parser_set_string(y->parser, text, bytes) == 0)
		root = yaml_document(y);
	if (!root && y->errors->count == before)
		yaml_report_syntax(y);
	fy_parser_event_free(y->parser, y->event);
	fy_parser_destroy(y->parser);
	fy_diag_destroy(y->diag);
	return root && y->errors->count == before ? root : NULL;
}

// libfyaml names the wrong line for a tab, and stops at NULs: look for these first.
static bool yaml_check_bytes(struct yaml *y, const char *text, size_t bytes)
{
	uint32_t line = 1, before = y->errors->count;
	bool indent = true;
	for (size_t i = 0, begin = 0; i <= bytes; i++) {
		if (i < bytes && text[i] != '\n') {
			if (text[i] == 0)
				yaml_reject(y, line, "a NUL byte; is this a text file?");
			else if (text[i] == '\t' && indent)
				yaml_reject(y, line, "indented with a tab; use spaces");
			indent = indent && text[i] == ' ';
			if (y->errors->count > before)
				return false;
			continue;
		}
		if (!utf8_is_valid((const uint8_t *)text + begin, i - begin)) {
			yaml_reject(y, line, "not UTF-8; save the file as UTF-8");
			return false;
		}
		begin = i + 1;
		indent = true;
		line++;
	}
	return true;
}

struct weir_value *yaml_parse(struct heap *heap, struct errors *errors, const char *file,
	const char *text, size_t bytes)
{
	struct yaml y = {.heap = heap, .errors = errors};
	y.file = heap_text(heap, file, strlen(file));
	if (!yaml_check_bytes(&y, text, bytes))
		return NULL;
	return yaml_run(&y, text, bytes);
}

// Read up to one byte more than allowed.  Returns the bytes read or -errno.
static ssize_t file_read(const char *file, char *text, size_t room)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t bytes = 0;
	ssize_t got = 1;
	while (got > 0 && bytes < room) {
		got = read(fd, text + bytes, room - bytes);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			bytes += (size_t)got;
	}
	int error = errno;
	close(fd);
	return got < 0 ? -error : (ssize_t)bytes;
}

struct weir_value *yaml_load(struct heap *heap, struct errors *errors, const char *file)
{
	char *text = heap_alloc(heap, YAML_BYTES_MAX + 1);
	ssize_t bytes = file_read(file, text, YAML_BYTES_MAX + 1);
	if (bytes < 0)
		errors_add(errors, file, 0, "cannot be read: %s", strerror((int)-bytes));
	else if (bytes > YAML_BYTES_MAX)
		errors_add(errors, file, 0, "larger than 1 MiB; is this a job file?");
	else
		return yaml_parse(heap, errors, file, text, (size_t)bytes);
	return NULL;
}
