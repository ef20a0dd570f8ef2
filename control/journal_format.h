// What a journal's file is made of: a header, and entries of a transaction each. Format:
// docs/formats.md. Nothing of an entry is used before all of it has been checked.
#pragma once

#include "control/meta.h"

enum { JOURNAL_HEADER_BYTES = 32, JOURNAL_VERSION = 1, JOURNAL_READER_MIN = 1 };

// `revision`: of the state that the entries up to that revision make.
void journal_header_make(uint8_t header[JOURNAL_HEADER_BYTES], int64_t revision);

// Returns 0, -EBADMSG (not a journal, damaged) or -ENOTSUP (written for a later reader).
int journal_header_check(const uint8_t *data, size_t bytes, int64_t *ret_revision);

// Bytes of an entry with these puts.
size_t journal_entry_bytes(const struct meta_put *puts, uint32_t count);
void journal_entry_make(uint8_t *out, const struct meta_put *puts, uint32_t count);
// Give an entry its revision, and its checksum.
void journal_entry_seal(uint8_t *entry, int64_t revision);

// Returns the bytes of the entry that begins there, 0 when there is none.
size_t journal_entry_check(const uint8_t *data, size_t bytes, int64_t *ret_revision);

// Walk a checked entry's puts: `at` is 0 first. The key is copied to `key`, the value lies in the
// entry.  Returns false behind the last.
bool journal_entry_next(const uint8_t *entry, size_t *at, char key[META_KEY_MAX + 1],
	struct meta_put *ret_put);
