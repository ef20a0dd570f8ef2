// A fuzzing engine that needs no special compiler: it runs a target (LLVMFuzzerTestOneInput) on its
// seeds and then on N mutations of them. Execution n is a function of (--seed, n) alone, so
// any finding replays with --only n. Ends the process on a crash, a hang or a leak.
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { LEAK_BYTES_MAX = 256 << 10, SEED_INDEX_MAX = 1000 };

struct driver {
	struct fuzz_corpus corpus;
	struct fuzz_dictionary dictionary;
	uint64_t seed;
	uint64_t runs;
	int64_t only; // the one execution to replay, -1: all
	const char *write_dir;
};

static volatile uint64_t run_now;  // signal handlers: read
static volatile uint64_t run_seen; // the timer's alone
static volatile int seconds_stuck;
static int hang_seconds = 10;
static uint64_t seed_now;
static bool on_seeds = true;

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

// Async-signal-safe: says which execution it was.
static void say_where(const char *what)
{
	char line[160];
	int length = on_seeds
		? snprintf(line, sizeof(line), "fuzz: %s on seed input %llu\n", what,
			  (unsigned long long)run_now)
		: snprintf(line, sizeof(line),
			  "fuzz: %s in execution %llu; replay: --seed %llu --only %llu\n", what,
			  (unsigned long long)run_now, (unsigned long long)seed_now,
			  (unsigned long long)run_now);
	if (write(STDERR_FILENO, line, length) < 0)
		_exit(1);
}

static void on_crash(int signal_number)
{
	say_where("crash");
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void on_second(int signal_number)
{
	seconds_stuck = run_now == run_seen ? seconds_stuck + 1 : 0;
	run_seen = run_now;
	if (seconds_stuck < hang_seconds)
		return;
	say_where("hang");
	_exit(1);
}

static void on_sanitizer_death(void)
{
	say_where("sanitizer finding");
}

static void watch_start(void)
{
	static const int crashes[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};
	struct itimerval second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};

	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(on_sanitizer_death);
	else
		for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
			signal(crashes[i], on_crash);
	signal(SIGABRT, on_crash); // no sanitizer takes it by default
	signal(SIGALRM, on_second);
	setitimer(ITIMER_REAL, &second, NULL);
}

// The target sees an exact heap block, so that a sanitizer sees a read past its end.
static void run_target(const uint8_t *data, size_t bytes)
{
	uint8_t *exact = malloc(bytes ? bytes : 1);

	if (!exact)
		abort();
	memcpy(exact, data, bytes);
	LLVMFuzzerTestOneInput(exact, bytes);
	free(exact);
}

static void run_seeds(const struct fuzz_corpus *corpus)
{
	on_seeds = true;
	for (size_t i = 0; i < corpus->count; i++) {
		run_now = i;
		run_target(corpus->inputs[i].data, corpus->inputs[i].bytes);
	}
	on_seeds = false;
}

static void run_one(const struct driver *driver, uint64_t number)
{
	static uint8_t data[FUZZ_INPUT_BYTES_MAX];
	size_t bytes =
		fuzz_mutate(&driver->corpus, &driver->dictionary, driver->seed, number, data);

	run_now = number;
	run_target(data, bytes);
}

// The heap is measured after a tenth of the executions and at the end: what it grew by is lost.
static int run_all(const struct driver *driver)
{
	size_t used = 0, grown;

	for (uint64_t number = 0; number < driver->runs; number++) {
		if (number == driver->runs / 10)
			used = mallinfo2().uordblks + mallinfo2().hblkhd;
		run_one(driver, number);
	}
	grown = mallinfo2().uordblks + mallinfo2().hblkhd;
	grown = grown > used ? grown - used : 0;
	if (grown <= LEAK_BYTES_MAX)
		return 0;
	fprintf(stderr, "fuzz: leak: the heap grew by %zu bytes\n", grown);
	return 1;
}

static int write_seeds(const struct driver *driver)
{
	char path[4096];

	for (size_t i = 0; i < driver->corpus.count; i++) {
		const struct fuzz_input *input = &driver->corpus.inputs[i];
		FILE *file;

		snprintf(path, sizeof(path), "%s/seed-%03zu", driver->write_dir, i);
		file = fopen(path, "wb");
		if (!file || fwrite(input->data, 1, input->bytes, file) != input->bytes) {
			fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
			return 1;
		}
		fclose(file);
	}
	return 0;
}

static void usage(FILE *out, const char *program)
{
	fprintf(out,
		"usage: %s [option]... [SEED-FILE-OR-DIRECTORY]...\n"
		"  --runs N        mutated executions (default 100000)\n"
		"  --seed N        chooses the mutations (default 1)\n"
		"  --only N        run execution N alone\n"
		"  --dict FILE     tokens to insert, in libFuzzer's format\n"
		"  --hang-seconds N    an execution that takes longer hangs (default 10)\n"
		"  --write-seeds DIR   write the seed inputs there and end\n",
		program);
}

static uint64_t number_or_die(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);

	if (*end || end == text) {
		fprintf(stderr, "fuzz: %s: not a number\n", text);
		exit(2);
	}
	return number;
}

static void read_options(struct driver *driver, int argc, char **argv)
{
	static const struct option options[] = {{"runs", 1, NULL, 'r'}, {"seed", 1, NULL, 's'},
		{"only", 1, NULL, 'o'}, {"dict", 1, NULL, 'd'}, {"write-seeds", 1, NULL, 'w'},
		{"hang-seconds", 1, NULL, 't'}, {"help", 0, NULL, 'h'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			driver->runs = number_or_die(optarg);
			break;
		case 's':
			driver->seed = number_or_die(optarg);
			break;
		case 'o':
			driver->only = number_or_die(optarg);
			break;
		case 'd':
			if (fuzz_dictionary_read(&driver->dictionary, optarg))
				exit(2);
			break;
		case 't':
			hang_seconds = (int)number_or_die(optarg);
			break;
		case 'w':
			driver->write_dir = optarg;
			break;
		case 'h':
			usage(stdout, argv[0]);
			exit(0);
		default:
			usage(stderr, argv[0]);
			exit(2);
		}
	}
}

// Seeds are what the target makes itself (fuzz_seed), the files named, and one empty input.
static void gather_seeds(struct fuzz_corpus *corpus, char **paths)
{
	static uint8_t data[FUZZ_INPUT_BYTES_MAX];

	if (fuzz_seed)
		for (unsigned i = 0; i < SEED_INDEX_MAX; i++) {
			size_t bytes = fuzz_seed(i, data, sizeof(data));

			if (!bytes)
				break;
			fuzz_corpus_add(corpus, data, bytes);
		}
	for (; *paths; paths++)
		if (fuzz_corpus_read(corpus, *paths))
			exit(2);
	fuzz_corpus_add(corpus, data, 0);
}

static int fuzz(const struct driver *driver)
{
	int failed = 0;

	watch_start();
	if (driver->only >= 0) {
		on_seeds = false;
		run_one(driver, driver->only);
	} else {
		run_seeds(&driver->corpus);
		failed = run_all(driver);
	}
	if (!failed)
		printf("%zu seeds and %llu executions (seed %llu): no crash, hang or leak\n",
			driver->corpus.count,
			(unsigned long long)(driver->only < 0 ? driver->runs : 1),
			(unsigned long long)driver->seed);
	return failed;
}

int main(int argc, char **argv)
{
	struct driver driver = {.seed = 1, .runs = 100000, .only = -1};
	int failed;

	read_options(&driver, argc, argv);
	seed_now = driver.seed;
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	gather_seeds(&driver.corpus, argv + optind);
	failed = driver.write_dir ? write_seeds(&driver) : fuzz(&driver);
	fuzz_dictionary_free(&driver.dictionary);
	fuzz_corpus_free(&driver.corpus);
	return failed;
}
