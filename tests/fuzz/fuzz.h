// What a fuzz target gives, and what the driver is made of. A target is one file fuzz_NAME.c that
// defines LLVMFuzzerTestOneInput and, where its seeds are binary, fuzz_seed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FUZZ_INPUT_BYTES_MAX = 64 << 10 };

// Run the code under test on one input; returns 0. Must give back whatever it took.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

// Optional: called once before anything else.
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

// Optional: write seed input `index` (0, 1, …) to `data`; returns its length, 0: there are no more.
size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max) __attribute__((weak));

struct fuzz_input {
	uint8_t *data;
	size_t bytes;
};

struct fuzz_corpus {
	struct fuzz_input *inputs;
	size_t count;
};

// Tokens a mutation may insert.
struct fuzz_dictionary {
	struct fuzz_corpus tokens;
};

// Copies; longer inputs are cut at FUZZ_INPUT_BYTES_MAX.
void fuzz_corpus_add(struct fuzz_corpus *corpus, const uint8_t *data, size_t bytes);

// Add a file, or a directory's files in the order of their names.
// Returns 0 or -errno, said on stderr.
int fuzz_corpus_read(struct fuzz_corpus *corpus, const char *path);

void fuzz_corpus_free(struct fuzz_corpus *corpus);

// Read tokens, one a line, as "…" with \\, \" and \xNN, a name and '=' before it allowed.
// Returns 0 or -errno, said on stderr.
int fuzz_dictionary_read(struct fuzz_dictionary *dictionary, const char *path);

void fuzz_dictionary_free(struct fuzz_dictionary *dictionary);

// Write input `number` to `data` (FUZZ_INPUT_BYTES_MAX bytes): one of the corpus, changed in one to
// eight places; a function of its arguments alone.  Returns its length.
size_t fuzz_mutate(const struct fuzz_corpus *corpus, const struct fuzz_dictionary *dictionary,
	uint64_t seed, uint64_t number, uint8_t *data);
