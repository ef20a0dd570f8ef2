#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void fuzz_corpus_add(struct fuzz_corpus *corpus, const uint8_t *data, size_t bytes)
{
	size_t kept = bytes < FUZZ_INPUT_BYTES_MAX ? bytes : FUZZ_INPUT_BYTES_MAX;
	struct fuzz_input input = {malloc(kept ? kept : 1), kept};

	corpus->inputs = reallocarray(corpus->inputs, corpus->count + 1, sizeof(corpus->inputs[0]));
	if (!corpus->inputs || !input.data)
		abort();
	memcpy(input.data, data, kept);
	corpus->inputs[corpus->count++] = input;
}

static int read_file(struct fuzz_corpus *corpus, const char *path)
{
	static uint8_t data[FUZZ_INPUT_BYTES_MAX];
	FILE *file = fopen(path, "rb");
	size_t bytes;

	if (!file)
		return -errno;
	bytes = fread(data, 1, sizeof(data), file);
	fclose(file);
	fuzz_corpus_add(corpus, data, bytes);
	return 0;
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int read_directory(struct fuzz_corpus *corpus, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, visible, alphasort);
	int rc = count < 0 ? -errno : 0;

	for (int i = 0; i < count; i++) {
		char *file;

		if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
			abort();
		if (!rc)
			rc = read_file(corpus, file);
		free(file);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return rc;
}

int fuzz_corpus_read(struct fuzz_corpus *corpus, const char *path)
{
	struct stat status;
	int rc = stat(path, &status) ? -errno : 0;

	if (!rc)
		rc = S_ISDIR(status.st_mode) ? read_directory(corpus, path)
					     : read_file(corpus, path);
	if (rc)
		fprintf(stderr, "fuzz: %s: %s\n", path, strerror(-rc));
	return rc;
}

void fuzz_corpus_free(struct fuzz_corpus *corpus)
{
	for (size_t i = 0; i < corpus->count; i++)
		free(corpus->inputs[i].data);
	free(corpus->inputs);
	*corpus = (struct fuzz_corpus){0};
}

static int hex_pair(const char *text)
{
	unsigned value;
	int length;

	return sscanf(text, "%2x%n", &value, &length) == 1 && length == 2 ? (int)value : -EINVAL;
}

// One character or escape of a token; moves *text to its last byte.  Returns its value or -EINVAL.
static int token_byte(const char **text)
{
	int value = (uint8_t) * *text;

	if (value != '\\')
		return value ? value : -EINVAL;
	value = (uint8_t) * ++*text;
	if (value != 'x')
		return value ? value : -EINVAL;
	value = hex_pair(*text + 1);
	if (value < 0)
		return -EINVAL;
	*text += 2;
	return value;
}

// Parse from behind the opening quote up to the closing one.  Returns the length or -EINVAL.
static int token_parse(const char *text, uint8_t *token)
{
	int bytes = 0;

	for (; *text != '"'; text++) {
		int value = token_byte(&text);

		if (value < 0)
			return value;
		token[bytes++] = value;
	}
	return bytes;
}

int fuzz_dictionary_read(struct fuzz_dictionary *dictionary, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[1024];
	uint8_t token[sizeof(line)];
	int number = 0, bytes, rc = 0;

	if (!file) {
		fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
		return -ENOENT;
	}
	while (!rc && fgets(line, sizeof(line), file)) {
		const char *quote = strchr(line, '"');

		number++;
		if (line[0] == '#' || line[0] == '\n')
			continue;
		bytes = quote ? token_parse(quote + 1, token) : -EINVAL;
		if (bytes > 0)
			fuzz_corpus_add(&dictionary->tokens, token, bytes);
		else
			rc = -EINVAL;
	}
	if (rc)
		fprintf(stderr, "fuzz: %s:%d: no token: write \"text\"\n", path, number);
	fclose(file);
	return rc;
}

void fuzz_dictionary_free(struct fuzz_dictionary *dictionary)
{
	fuzz_corpus_free(&dictionary->tokens);
}
