// UTF-8 as RFC 3629 defines it: shortest forms only, no surrogates, nothing above U+10FFFF.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Thread: any.  Costs about a cycle for 8 bytes of ASCII.
bool utf8_is_valid(const uint8_t *text, size_t bytes);
