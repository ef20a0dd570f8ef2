#include "control/nexmark_csv.h"

#define NS_PER_MS 1000000

uint32_t nexmark_csv_header(const struct weir_schema *schema, char *out)
{
	char *at = out;
	for (uint16_t f = 0; f < schema->field_count; f++) {
		at = stpcpy(at, schema->fields[f].name);
		*at++ = f + 1 < schema->field_count ? ',' : '\n';
	}
	return (uint32_t)(at - out);
}

// All numbers of NEXMark are positive.
static char *number_print(uint64_t value, char *out)
{
	char digits[20];
	uint32_t count = 0;
	do {
		digits[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (count > 0)
		*out++ = digits[--count];
	return out;
}

uint32_t nexmark_csv_line(const struct weir_schema *schema, const uint8_t *record, char *out)
{
	char *at = out;
	for (uint16_t f = 0; f < schema->field_count; f++) {
		const struct weir_field *field = &schema->fields[f];
		if (type_is_text(field->type)) {
			struct weir_slice text = record_slice(record, field->offset);
			at = mempcpy(at, text.data, text.length);
		} else {
			uint64_t value = (uint64_t)record_int64(record, field->offset);
			at = number_print(field->type == WEIR_TIMESTAMP ? value / NS_PER_MS : value,
				at);
		}
		*at++ = f + 1 < schema->field_count ? ',' : '\n';
	}
	return (uint32_t)(at - out);
}
