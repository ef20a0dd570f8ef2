// A target with defects, chosen by the environment, that shows that the driver catches them.
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *defect;
static void *volatile lost;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	defect = getenv("WEIR_FUZZ_DEFECT");
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	static const char *const seeds[] = {"aaaa", "bbbb", "abcdabcd"};

	if (index >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	memcpy(data, seeds[index], strlen(seeds[index]));
	return strlen(seeds[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	// Only a token of the dictionary spells it.
	if (!defect || !memmem(data, bytes, "needle", 6))
		return 0;
	if (!strcmp(defect, "crash"))
		abort();
	if (!strcmp(defect, "overrun") && lost != data + bytes)
		return data[bytes + 64];
	if (!strcmp(defect, "leak"))
		lost = malloc(4096);
	if (!strcmp(defect, "hang"))
		for (;;)
			pause();
	return 0;
}
