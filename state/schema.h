// Schemas: the names and types of a record's fields, and where each lies in the record.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SCHEMA_FIELDS_MAX 64

enum weir_type {
	WEIR_BOOL,
	WEIR_INT64,
	WEIR_FLOAT64,
	WEIR_DECIMAL,   // int128 with a static scale
	WEIR_TIMESTAMP, // int64, ns since 1970 UTC
	WEIR_STRING,    // UTF-8
	WEIR_BYTES,
	WEIR_TYPE_COUNT
};

struct weir_field {
	char name[64];
	enum weir_type type;
	uint8_t precision; // decimal only, 1 to 38
	uint8_t scale;     // decimal only, 0 to precision
	uint32_t offset;   // bytes from the record's start, set by schema_layout
};

// Bytes of the fixed part that no field covers; always zero.
struct weir_hole {
	uint32_t offset, bytes;
};

struct weir_schema {
	char name[64];    // of the output it belongs to, "" for an only one
	uint16_t variant; // which of a source's schemas
	uint16_t field_count;
	uint32_t null_words;
	uint32_t fixed_bytes; // header, null words and fields; texts start here
	bool has_text;        // any string or bytes field
	uint8_t text_count, texts[SCHEMA_FIELDS_MAX];  // which fields are texts, in order
	uint8_t picky_count, picky[SCHEMA_FIELDS_MAX]; // which are bools or decimals
	uint8_t hole_count;
	struct weir_hole holes[SCHEMA_FIELDS_MAX];
	struct weir_field fields[SCHEMA_FIELDS_MAX];
};

// Append a field; names are unique.  Returns 0, -EEXIST, -ENAMETOOLONG, -EINVAL (empty name, bad
// precision or scale) or -ENOSPC.
int schema_add(struct weir_schema *schema, const char *name, enum weir_type type, uint8_t precision,
	uint8_t scale);

// Compute null_words, offsets, holes and fixed_bytes from the fields; call once all are added.
void schema_layout(struct weir_schema *schema);

// Before schema_layout too.  Returns the field's index, or -1.
int schema_find(const struct weir_schema *schema, const char *name);

// Same variant and fields, so that either reads the other's records; the name does not count.
// A bit for every field.
static inline uint64_t schema_all_fields(const struct weir_schema *schema)
{
	return schema->field_count == 64 ? UINT64_MAX : ((uint64_t)1 << schema->field_count) - 1;
}

bool schema_equal(const struct weir_schema *a, const struct weir_schema *b);

// "int64", "decimal(38,0)" …; parsing accepts exactly what naming prints.
const char *type_name(enum weir_type type);
void type_print(const struct weir_field *field, char *out, uint32_t out_bytes);
int type_parse(const char *text, struct weir_field *ret_field);

// Bytes of a fixed-size value in a record and in a column (16 for decimal, string and bytes in a
// column, where text is a struct weir_slice).
uint32_t type_record_bytes(enum weir_type type);
uint32_t type_column_bytes(enum weir_type type);
uint32_t type_align(enum weir_type type);

static inline bool type_is_text(enum weir_type type)
{
	return type == WEIR_STRING || type == WEIR_BYTES;
}
