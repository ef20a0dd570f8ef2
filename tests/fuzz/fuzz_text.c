// Values as text: what is read, printed and read again is the same value.
#include <errno.h>
#include <string.h>

#include "numa/assert.h"
#include "state/decimal.h"
#include "state/schema.h"
#include "state/time_text.h"
#include "state/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_decimal(const uint8_t *text, uint32_t bytes)
{
	for (uint32_t precision = 1; precision <= DECIMAL_DIGITS_MAX; precision += 37) {
		uint32_t scale = precision / 3;
		char printed[DECIMAL_TEXT_BYTES];
		__int128 value = -1, again = -2;
		int rc = decimal_parse(text, bytes, precision, scale, &value);

		VERIFY(rc == 0 || rc == -EINVAL || rc == -ERANGE);
		if (rc) {
			VERIFY(value == -1);
			continue;
		}
		VERIFY(decimal_fits(value, precision));
		VERIFY(decimal_print(value, scale, printed) == strlen(printed));
		VERIFY(decimal_parse(printed, (uint32_t)strlen(printed), precision, scale,
			       &again) == 0);
		VERIFY(value == again);
	}
}

static void check_time(const uint8_t *text, uint32_t bytes)
{
	char printed[TIME_TEXT_BYTES];
	int64_t ns = 1, again = 2;
	int rc = time_parse(text, bytes, &ns);

	VERIFY(rc == 0 || rc == -EINVAL || rc == -ERANGE);
	if (rc)
		return;
	VERIFY(time_print(ns, printed) == strlen(printed));
	VERIFY(time_parse(printed, (uint32_t)strlen(printed), &again) == 0 && ns == again);
}

static void check_type(const uint8_t *text, size_t bytes)
{
	char type[64] = {0}, printed[64];
	struct weir_field field = {0}, again = {0};

	memcpy(type, text, bytes < sizeof(type) ? bytes : sizeof(type) - 1);
	if (type_parse(type, &field))
		return;
	type_print(&field, printed, sizeof(printed));
	VERIFY(strcmp(printed, type) == 0);
	VERIFY(type_parse(printed, &again) == 0);
	VERIFY(again.type == field.type && again.scale == field.scale);
}

// One character by RFC 3629, section 4.  Returns its length, 0: it is none.
static size_t utf8_character(const uint8_t *at, size_t left)
{
	size_t length = *at < 0x80 ? 1 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : 4;
	uint32_t value = length == 1 ? *at : *at & (0x7F >> length);

	if ((*at >= 0x80 && *at < 0xC0) || *at >= 0xF8 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
		value = value << 6 | (at[i] & 0x3F);
	}
	if ((length == 2 && value < 0x80) || (length == 3 && value < 0x800) ||
		(length == 4 && value < 0x10000) || value > 0x10FFFF ||
		(value >= 0xD800 && value < 0xE000))
		return 0;
	return length;
}

static void check_utf8(const uint8_t *text, size_t bytes)
{
	size_t at = 0, length = 1;

	for (; at < bytes && length; at += length)
		length = utf8_character(text + at, bytes - at);
	VERIFY(utf8_is_valid(text, bytes) == (length != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	check_decimal(data, (uint32_t)bytes);
	check_time(data, (uint32_t)bytes);
	check_type(data, bytes);
	check_utf8(data, bytes);
	return 0;
}
