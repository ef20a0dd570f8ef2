#include "dataplane/csv_writer.h"

#include <assert.h>
#include <string.h>

#include "dataplane/csv.h"
#include "dataplane/value_text.h"
#include "numa/assert.h"
#include "state/decimal.h"
#include "state/time_text.h"

#define NS_PER_MS 1000000

static_assert(CSV_VALUE_BYTES > VALUE_TEXT_BYTES && CSV_VALUE_BYTES > DECIMAL_TEXT_BYTES &&
		CSV_VALUE_BYTES > TIME_TEXT_BYTES,
	"any fixed-size value fits, and a separator");

static const uint8_t special[256] = {[','] = 1, ['"'] = 1, ['\n'] = 1, ['\r'] = 1};

static bool needs_quotes(const uint8_t *p, uint32_t bytes)
{
	uint8_t any = bytes == 0;
	for (uint32_t i = 0; i < bytes; i++)
		any |= special[p[i]];
	return any;
}

static int write_quoted(struct csv_writer *w, const uint8_t *p, uint32_t bytes)
{
	const uint8_t *limit = p + bytes;
	int error = output_file_write(w->out, "\"", 1);
	while (error == 0 && p < limit) {
		const uint8_t *quote = memchr(p, '"', (size_t)(limit - p));
		const uint8_t *end = quote == NULL ? limit : quote + 1;
		error = output_file_write(w->out, p, (size_t)(end - p));
		if (error == 0 && quote != NULL)
			error = output_file_write(w->out, "\"", 1);
		p = end;
	}
	return error == 0 ? output_file_write(w->out, "\"", 1) : error;
}

static int write_string(struct csv_writer *w, const uint8_t *p, uint32_t bytes)
{
	return needs_quotes(p, bytes) ? write_quoted(w, p, bytes)
				      : output_file_write(w->out, p, bytes);
}

static int write_hex(struct csv_writer *w, const struct weir_slice *s)
{
	static const char digits[] = "0123456789abcdef";
	int error = s->length == 0 ? output_file_write(w->out, "\"\"", 2) : 0;
	for (uint32_t i = 0; i < s->length && error == 0; i++)
		error = output_file_write(w->out,
			(char[]){digits[s->data[i] >> 4], digits[s->data[i] & 15]}, 2);
	return error;
}

// Times between two milliseconds belong to the earlier one.
static int64_t to_ms(int64_t ns)
{
	return ns / NS_PER_MS - (ns % NS_PER_MS < 0);
}

static uint32_t print_fixed(const struct csv_writer *w, const struct weir_field *field,
	const void *at, char *out)
{
	union {
		uint8_t boolean;
		int64_t integer;
		double real;
		__int128 decimal;
	} v;
	memcpy(&v, at, type_column_bytes(field->type));
	switch (field->type) {
	case WEIR_BOOL:
		memcpy(out, v.boolean ? "true" : "false", 5);
		return v.boolean ? 4 : 5;
	case WEIR_FLOAT64:
		return value_float64_print(v.real, out);
	case WEIR_DECIMAL:
		return decimal_print(v.decimal, field->scale, out);
	case WEIR_TIMESTAMP:
		return w->times_iso ? time_print(v.integer, out)
				    : value_int64_print(to_ms(v.integer), out);
	default:
		return value_int64_print(v.integer, out);
	}
}

static int write_value(struct csv_writer *w, const struct weir_field *field, const void *at)
{
	int error = 0;
	if (type_is_text(field->type)) {
		struct weir_slice text;
		memcpy(&text, at, sizeof(text));
		return field->type == WEIR_BYTES ? write_hex(w, &text)
						 : write_string(w, text.data, text.length);
	}
	char *out = (char *)output_file_reserve(w->out, CSV_VALUE_BYTES, &error);
	if (out != NULL)
		output_file_use(w->out, print_fixed(w, field, at, out));
	return error;
}

int csv_write_names(struct csv_writer *w)
{
	int error = 0;
	for (uint32_t i = 0; i < w->schema->field_count && error == 0; i++) {
		const char *name = w->schema->fields[i].name;
		if (i > 0)
			error = output_file_write(w->out, ",", 1);
		if (error == 0)
			error = write_string(w, (const uint8_t *)name, (uint32_t)strlen(name));
	}
	return error == 0 ? output_file_write(w->out, "\n", 1) : error;
}

int csv_write_row(struct csv_writer *w, const struct weir_column *columns, uint32_t row)
{
	int error = 0;
	for (uint32_t i = 0; i < w->schema->field_count && error == 0; i++) {
		const struct weir_column *c = &columns[i];
		if (i > 0)
			error = output_file_write(w->out, ",", 1);
		if (error == 0 && (c->nulls == NULL || !c->nulls[row]))
			error = write_value(w, &w->schema->fields[i],
				(const uint8_t *)c->data + (size_t)row * c->stride);
	}
	return error == 0 ? output_file_write(w->out, "\n", 1) : error;
}
