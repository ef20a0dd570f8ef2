#include <errno.h>
#include <string.h>

#include "dataplane/csv.h"
#include "dataplane/value_text.h"
#include "numa/assert.h"
#include "state/decimal.h"
#include "state/record.h"
#include "state/time_text.h"
#include "state/utf8.h"

#define NS_PER_MS 1000000

void csv_layout_plain(struct csv_layout *layout, const struct weir_schema *schema,
	enum csv_times times)
{
	layout->schema = schema;
	layout->times = times;
	layout->column_count = schema->field_count;
	for (uint16_t i = 0; i < schema->field_count; i++)
		layout->columns[i] = i;
}

static bool is_named(const struct csv_field *field, const char *name)
{
	return strlen(name) == field->length && memcmp(name, field->data, field->length) == 0;
}

int csv_layout_header(struct csv_layout *layout, const struct weir_schema *schema,
	enum csv_times times, const struct csv_row *header, uint32_t *ret_field)
{
	layout->schema = schema;
	layout->times = times;
	layout->column_count = header->field_count;
	for (uint32_t i = 0; i < schema->field_count; i++) {
		uint32_t found = 0;
		for (uint32_t c = 0; c < header->field_count; c++) {
			if (!is_named(&header->fields[c], schema->fields[i].name))
				continue;
			layout->columns[i] = (uint16_t)c;
			found++;
		}
		if (found != 1) {
			*ret_field = i;
			return found == 0 ? -ENOENT : -EEXIST;
		}
	}
	return 0;
}

static int time_of(const struct csv_field *field, enum csv_times times, int64_t *ret_ns)
{
	int64_t ms;
	int error = times == CSV_TIMES_ISO ? -EINVAL
					   : value_int64_parse(field->data, field->length, &ms);
	if (error == 0)
		return __builtin_mul_overflow(ms, NS_PER_MS, ret_ns) ? -ERANGE : 0;
	if (error == -ERANGE || times == CSV_TIMES_MS)
		return error;
	return time_parse(field->data, field->length, ret_ns);
}

// A text without its doubled quotes.
static void set_doubled(struct record_builder *b, uint32_t i, const struct csv_field *field)
{
	const uint8_t *p = field->data, *limit = p + field->length;
	uint32_t length = field->length;
	for (; p < limit; p += 1 + (*p == '"'))
		length -= *p == '"';
	uint8_t *out = record_reserve_text(b, i, length);
	if (out == NULL)
		return;
	for (p = field->data; p < limit; p += 1 + (*p == '"'))
		*out++ = *p;
}

static int set_string(struct record_builder *b, uint32_t i, const struct csv_field *field)
{
	if (!utf8_is_valid(field->data, field->length))
		return -EILSEQ;
	if (field->doubled)
		set_doubled(b, i, field);
	else
		record_set_text(b, i, field->data, field->length);
	return 0;
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int set_bytes(struct record_builder *b, uint32_t i, const struct csv_field *field)
{
	int bad = field->length % 2 == 0 ? 0 : -1;
	for (uint32_t at = 0; at < field->length; at++)
		bad |= nibble(field->data[at]);
	if (bad < 0)
		return -EINVAL;
	uint8_t *out = record_reserve_text(b, i, field->length / 2);
	for (uint32_t at = 0; out != NULL && at < field->length; at += 2)
		*out++ = (uint8_t)(nibble(field->data[at]) << 4 | nibble(field->data[at + 1]));
	return 0;
}

static int set_number(struct record_builder *b, uint32_t i, const struct csv_field *field,
	enum csv_times times)
{
	const struct weir_field *type = &b->schema->fields[i];
	union {
		bool boolean;
		int64_t integer;
		double real;
		__int128 decimal;
	} v;
	int error = -EINVAL;
	if (type->type == WEIR_INT64) {
		error = value_int64_parse(field->data, field->length, &v.integer);
		if (error == 0)
			record_set_int64(b, i, v.integer);
	} else if (type->type == WEIR_TIMESTAMP) {
		error = time_of(field, times, &v.integer);
		if (error == 0)
			record_set_int64(b, i, v.integer);
	} else if (type->type == WEIR_FLOAT64) {
		error = value_float64_parse(field->data, field->length, &v.real);
		if (error == 0)
			record_set_float64(b, i, v.real);
	} else if (type->type == WEIR_DECIMAL) {
		error = decimal_parse(field->data, field->length, type->precision, type->scale,
			&v.decimal);
		if (error == 0)
			record_set_decimal(b, i, v.decimal);
	} else {
		error = value_bool_parse(field->data, field->length, &v.boolean);
		if (error == 0)
			record_set_bool(b, i, v.boolean);
	}
	return error;
}

static uint32_t reject(struct csv_reject *out, enum weir_drop reason, uint32_t field)
{
	out->reason = reason;
	out->field = field;
	return 0;
}

uint32_t csv_record(const struct csv_layout *layout, const struct csv_row *row, uint8_t *out,
	uint32_t room, struct csv_reject *ret_reject)
{
	const struct weir_schema *schema = layout->schema;
	struct record_builder b;
	if (row->reject != WEIR_DROP_COUNT)
		return reject(ret_reject, row->reject, CSV_NO_FIELD);
	if (row->field_count != layout->column_count)
		return reject(ret_reject, WEIR_DROP_MALFORMED, CSV_NO_FIELD);
	record_begin(&b, schema, out, room);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct csv_field *field = &row->fields[layout->columns[i]];
		enum weir_type type = schema->fields[i].type;
		if (field->length == 0 && !field->quoted)
			continue;
		int error = type == WEIR_STRING ? set_string(&b, i, field)
			: type == WEIR_BYTES    ? set_bytes(&b, i, field)
						: set_number(&b, i, field, layout->times);
		if (error != 0)
			return reject(ret_reject,
				error == -ERANGE           ? WEIR_DROP_OUT_OF_RANGE
					: error == -EILSEQ ? WEIR_DROP_INVALID_UTF8
							   : WEIR_DROP_WRONG_TYPE,
				i);
	}
	uint32_t length = record_end(&b);
	return length != 0 ? length : reject(ret_reject, WEIR_DROP_TOO_LARGE, CSV_NO_FIELD);
}
