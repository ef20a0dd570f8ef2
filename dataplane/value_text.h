// Values as text, the way CSV and casts have them. Reading takes the whole text and no blanks.
// Each reader returns 0, -EINVAL (not such a value) or -ERANGE (too large).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VALUE_TEXT_BYTES 48 // enough for any fixed-size value

int value_bool_parse(const uint8_t *text, uint32_t bytes, bool *ret_value); // true, false, 1, 0
int value_int64_parse(const uint8_t *text, uint32_t bytes, int64_t *ret_value);
int value_float64_parse(const uint8_t *text, uint32_t bytes, double *ret_value); // finite ones

// Each returns the text's length; there is no NUL behind it.
uint32_t value_int64_print(int64_t value, char out[VALUE_TEXT_BYTES]);
// The shortest text that reads back to the same value.
uint32_t value_float64_print(double value, char out[VALUE_TEXT_BYTES]);
