#include "state/schema.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "numa/assert.h"
#include "state/decimal.h"

enum { HEADER_BYTES = 8, NULL_WORD_BITS = 32 };

static const struct {
	const char *name;
	uint8_t record_bytes, column_bytes, align;
} types[] = {
	[WEIR_BOOL] = {"bool", 1, 1, 1},
	[WEIR_INT64] = {"int64", 8, 8, 8},
	[WEIR_FLOAT64] = {"float64", 8, 8, 8},
	[WEIR_DECIMAL] = {"decimal", 16, 16, 8},
	[WEIR_TIMESTAMP] = {"timestamp", 8, 8, 8},
	[WEIR_STRING] = {"string", 8, 16, 4},
	[WEIR_BYTES] = {"bytes", 8, 16, 4},
};
static_assert(sizeof(types) / sizeof(types[0]) == WEIR_TYPE_COUNT, "a row for each type");

const char *type_name(enum weir_type type)
{
	ASSERT(type < WEIR_TYPE_COUNT);
	return types[type].name;
}

uint32_t type_record_bytes(enum weir_type type)
{
	ASSERT(type < WEIR_TYPE_COUNT);
	return types[type].record_bytes;
}

uint32_t type_column_bytes(enum weir_type type)
{
	ASSERT(type < WEIR_TYPE_COUNT);
	return types[type].column_bytes;
}

uint32_t type_align(enum weir_type type)
{
	ASSERT(type < WEIR_TYPE_COUNT);
	return types[type].align;
}

static bool decimal_is_sane(uint8_t precision, uint8_t scale)
{
	return precision >= 1 && precision <= DECIMAL_DIGITS_MAX && scale <= precision;
}

void type_print(const struct weir_field *field, char *out, uint32_t out_bytes)
{
	if (field->type == WEIR_DECIMAL)
		snprintf(out, out_bytes, "decimal(%u,%u)", field->precision, field->scale);
	else
		snprintf(out, out_bytes, "%s", type_name(field->type));
}

// Take a number of one or two digits without leading zero.  Returns what follows it, or NULL.
static const char *digits_take(const char *text, uint8_t *ret_value)
{
	if (*text < '0' || *text > '9')
		return NULL;
	uint8_t value = (uint8_t)(*text++ - '0');
	if (value && *text >= '0' && *text <= '9')
		value = (uint8_t)(10 * value + (*text++ - '0'));
	*ret_value = value;
	return text;
}

static int decimal_arguments(const char *text, struct weir_field *ret_field)
{
	uint8_t precision, scale;
	if (strncmp(text, "decimal(", 8) != 0)
		return -EINVAL;
	text = digits_take(text + 8, &precision);
	if (!text || *text != ',')
		return -EINVAL;
	text = digits_take(text + 1, &scale);
	if (!text || strcmp(text, ")") != 0 || !decimal_is_sane(precision, scale))
		return -EINVAL;
	ret_field->type = WEIR_DECIMAL;
	ret_field->precision = precision;
	ret_field->scale = scale;
	return 0;
}

int type_parse(const char *text, struct weir_field *ret_field)
{
	for (enum weir_type t = 0; t < WEIR_TYPE_COUNT; t++) {
		if (t == WEIR_DECIMAL || strcmp(text, types[t].name) != 0)
			continue;
		ret_field->type = t;
		ret_field->precision = ret_field->scale = 0;
		return 0;
	}
	return decimal_arguments(text, ret_field);
}

int schema_add(struct weir_schema *schema, const char *name, enum weir_type type, uint8_t precision,
	uint8_t scale)
{
	if (!*name || (unsigned)type >= WEIR_TYPE_COUNT)
		return -EINVAL;
	if (type == WEIR_DECIMAL ? !decimal_is_sane(precision, scale) : precision || scale)
		return -EINVAL;
	if (strlen(name) >= sizeof(schema->fields[0].name))
		return -ENAMETOOLONG;
	if (schema_find(schema, name) >= 0)
		return -EEXIST;
	if (schema->field_count == SCHEMA_FIELDS_MAX)
		return -ENOSPC;
	struct weir_field *field = &schema->fields[schema->field_count++];
	*field = (struct weir_field){.type = type, .precision = precision, .scale = scale};
	memcpy(field->name, name, strlen(name) + 1);
	return 0;
}

// Note bytes that no field covers between `from` and `to`; all of them must be zero in a record.
static void hole_add(struct weir_schema *schema, uint32_t from, uint32_t to)
{
	if (from < to)
		schema->holes[schema->hole_count++] = (struct weir_hole){from, to - from};
}

void schema_layout(struct weir_schema *schema)
{
	schema->null_words = (schema->field_count + NULL_WORD_BITS - 1u) / NULL_WORD_BITS;
	schema->hole_count = schema->text_count = schema->picky_count = 0;
	uint32_t at = HEADER_BYTES + 4 * schema->null_words;
	for (uint16_t i = 0; i < schema->field_count; i++) {
		struct weir_field *field = &schema->fields[i];
		uint32_t align = type_align(field->type);
		field->offset = (at + align - 1) & ~(align - 1);
		hole_add(schema, at, field->offset);
		at = field->offset + type_record_bytes(field->type);
		if (type_is_text(field->type))
			schema->texts[schema->text_count++] = (uint8_t)i;
		if (field->type == WEIR_BOOL || field->type == WEIR_DECIMAL)
			schema->picky[schema->picky_count++] = (uint8_t)i;
	}
	schema->fixed_bytes = at;
	schema->has_text = schema->text_count > 0;
}

int schema_find(const struct weir_schema *schema, const char *name)
{
	for (int i = 0; i < schema->field_count; i++)
		if (strcmp(schema->fields[i].name, name) == 0)
			return i;
	return -1;
}

static bool field_equal(const struct weir_field *a, const struct weir_field *b)
{
	return a->type == b->type && a->precision == b->precision && a->scale == b->scale &&
		strcmp(a->name, b->name) == 0;
}

bool schema_equal(const struct weir_schema *a, const struct weir_schema *b)
{
	if (a->variant != b->variant || a->field_count != b->field_count)
		return false;
	for (int i = 0; i < a->field_count; i++)
		if (!field_equal(&a->fields[i], &b->fields[i]))
			return false;
	return true;
}
