#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/commands.h"
#include "control/nexmark_csv.h"
#include "control/progress.h"
#include "control/units.h"
#include "dataplane/nexmark.h"
#include "dataplane/output_file.h"
#include "numa/assert.h"

enum {
	EXIT_DONE,
	EXIT_FAILED,
	EXIT_USE,
	BUFFER_BYTES = 1 << 20,
	EVENTS_BETWEEN_LOOKS = 20000, // at signals and at the clock
};

static const char doc[] =
	"Write the people, auctions and bids of the NEXMark benchmark as CSV: DIR/person.csv, "
	"DIR/auction.csv and DIR/bid.csv.\v"
	"The events are those of Apache Beam's generator with one generator, bit for bit. Of every "
	"50 one is a person, three are auctions and 46 are bids; times start at "
	"2015-07-15T00:00:00Z and are written in ms since 1970. Each file has a header line and "
	"holds its events in the order of their emission, without quotes. A million events take "
	"about 127 MB and half a second.\n\n"
	"The files appear when all are complete, or, on an error or Ctrl-C, not at all.\n\n"
	"  weir nexmark --events 1000000 --out bids\n"
	"  weir nexmark --events 100000 --rate 1M/s --group 1000 --out shuffled\n";

struct arguments {
	int64_t events, rate, group;
	const char *out;
};

static const struct argp_option options[] = {
	{"events", 'e', "N", 0, "How many events, of all three kinds", 0},
	{"rate", 'r', "R", 0, "Events a second of event time, 10000/s or 1M/s (default: 10000/s)",
		0},
	{"group", 'g', "G", 0, "Shuffle the events within groups of so many (default: 1, in order)",
		0},
	{"out", 'o', "DIR", 0, "Directory of the files; it is made if there is none", 0},
	{0},
};

struct bounds {
	const char *name;
	enum weir_param_type type;
	int64_t min, max;
};

static int64_t take_number(const struct bounds *b, const char *text, struct argp_state *state)
{
	int64_t value = 0;
	const char *problem = units_parse(b->type, text, &value);
	if (problem)
		argp_error(state, "--%s: %s %s", b->name, text, problem);
	else if (value < b->min || value > b->max)
		argp_error(state, "--%s: %s is out of bounds; write %" PRId64 " to %" PRId64,
			b->name, text, b->min, b->max);
	return value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	static const struct bounds events = {"events", WEIR_PARAM_INT, 0, NEXMARK_EVENTS_MAX};
	static const struct bounds rate = {"rate", WEIR_PARAM_RATE, 1, NEXMARK_RATE_MAX};
	static const struct bounds group = {"group", WEIR_PARAM_INT, 1, NEXMARK_GROUP_MAX};
	struct arguments *a = state->input;
	switch (key) {
	case 'e':
		a->events = take_number(&events, text, state);
		return 0;
	case 'r':
		a->rate = take_number(&rate, text, state);
		return 0;
	case 'g':
		a->group = take_number(&group, text, state);
		return 0;
	case 'o':
		a->out = text;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s is one too many; the directory is named by --out", text);
		return 0;
	case ARGP_KEY_END:
		if (a->events < 0 || !a->out)
			argp_error(state,
				"give --events and --out, as in `weir nexmark --events "
				"1000000 --out bids`");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct writer {
	struct nexmark nexmark;
	struct weir_schema schemas[NEXMARK_KINDS];
	struct output_file files[NEXMARK_KINDS];
	uint8_t *buffers[NEXMARK_KINDS];
	uint64_t counts[NEXMARK_KINDS];
	const char *directory;
	bool directory_made;
	const char *failed_path;
	uint32_t published;
	sigset_t signals;
	struct timespec started;
	struct progress progress;
};

static double seconds_since(const struct timespec *from)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static int open_file(struct writer *w, enum nexmark_kind kind)
{
	char path[sizeof(w->files[kind].path)];
	w->buffers[kind] = malloc(BUFFER_BYTES);
	if (!w->buffers[kind])
		return -ENOMEM;
	if (snprintf(path, sizeof(path), "%s/%s.csv", w->directory, nexmark_kind_name(kind)) >=
		(int)sizeof(path))
		return -ENAMETOOLONG;
	int error = output_file_open(&w->files[kind], path, w->buffers[kind], BUFFER_BYTES);
	w->failed_path = w->files[kind].path;
	if (error)
		return error;
	char header[NEXMARK_LINE_ROOM];
	uint32_t bytes = nexmark_csv_header(&w->schemas[kind], header);
	return output_file_write(&w->files[kind], header, bytes);
}

static int begin(struct writer *w, const char *directory)
{
	w->directory = w->failed_path = directory;
	for (int kind = 0; kind < NEXMARK_KINDS; kind++) {
		w->files[kind].fd = w->files[kind].directory = -1;
		nexmark_schema((enum nexmark_kind)kind, &w->schemas[kind]);
	}
	w->directory_made = mkdir(directory, 0777) == 0;
	if (!w->directory_made && errno != EEXIST)
		return -errno;
	int error = 0;
	for (int kind = 0; kind < NEXMARK_KINDS && !error; kind++)
		error = open_file(w, (enum nexmark_kind)kind);
	return error;
}

static int write_event(struct writer *w, uint64_t number)
{
	_Alignas(8) uint8_t record[NEXMARK_RECORD_ROOM];
	int error = 0;
	nexmark_record(&w->nexmark, number, record);
	uint16_t kind = record_variant(record);
	struct output_file *file = &w->files[kind];
	uint8_t *line = output_file_reserve(file, NEXMARK_LINE_ROOM, &error);
	if (!line) {
		w->failed_path = file->path;
		return error;
	}
	output_file_use(file, nexmark_csv_line(&w->schemas[kind], record, (char *)line));
	w->counts[kind]++;
	return 0;
}

// The signals are blocked, so that they wait to be found here.
static int look_around(struct writer *w, uint64_t number)
{
	static const struct timespec at_once = {0, 0};
	if (sigtimedwait(&w->signals, NULL, &at_once) > 0)
		return -EINTR;
	double seconds = seconds_since(&w->started);
	if (isatty(STDERR_FILENO) && seconds >= w->progress.seconds + 0.2)
		progress_show(&w->progress, number, seconds, NULL);
	return 0;
}

static int write_events(struct writer *w)
{
	int error = 0;
	for (uint64_t number = 0; number < w->nexmark.events && !error; number++) {
		if (number % EVENTS_BETWEEN_LOOKS == 0)
			error = look_around(w, number);
		if (!error)
			error = write_event(w, number);
	}
	return error ? error : look_around(w, w->nexmark.events);
}

// All are on disk before the first is to be seen.
static int publish(struct writer *w)
{
	int error = 0;
	for (int kind = 0; kind < NEXMARK_KINDS && !error; kind++) {
		w->failed_path = w->files[kind].path;
		error = output_file_sync(&w->files[kind]);
	}
	for (int kind = 0; kind < NEXMARK_KINDS && !error; kind++) {
		w->failed_path = w->files[kind].path;
		error = output_file_publish(&w->files[kind]);
		w->published += !error;
	}
	return error;
}

static void end(struct writer *w, bool keep)
{
	for (int kind = 0; kind < NEXMARK_KINDS; kind++) {
		output_file_discard(&w->files[kind]);
		free(w->buffers[kind]);
	}
	if (w->directory_made && !keep)
		rmdir(w->directory);
}

static int say_failed(struct writer *w, int error)
{
	if (error == -EINTR)
		fputs("weir nexmark: interrupted; nothing was written\n", stderr);
	else
		fprintf(stderr, "weir nexmark: %s: %s; %s written\n", w->failed_path,
			strerror(-error), w->published ? "only those before were" : "nothing was");
	return EXIT_FAILED;
}

static int write_all(struct writer *w, const char *directory)
{
	clock_gettime(CLOCK_MONOTONIC, &w->started);
	w->progress.out = stderr;
	sigemptyset(&w->signals);
	sigaddset(&w->signals, SIGINT);
	sigaddset(&w->signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &w->signals, NULL);
	int error = begin(w, directory);
	if (!error)
		error = write_events(w);
	if (!error)
		error = publish(w);
	progress_clear(&w->progress);
	int code = error ? say_failed(w, error) : EXIT_DONE;
	end(w, !error);
	return code;
}

int nexmark_command(int argc, char **argv)
{
	static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
	struct arguments a = {.events = -1, .rate = 10000, .group = 1};
	argp_err_exit_status = EXIT_USE;
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	struct writer *w = calloc(1, sizeof(*w));
	VERIFY(w != NULL);
	if (nexmark_init(&w->nexmark, a.events, a.rate, a.group) != 0) {
		fputs("weir nexmark: the events would go on beyond the year 2262; lower --events "
		      "or raise --rate\n",
			stderr);
		free(w);
		return EXIT_USE;
	}
	int code = write_all(w, a.out);
	if (code == EXIT_DONE)
		printf("%s: %" PRIu64 " people, %" PRIu64 " auctions, %" PRIu64 " bids in %.1f s\n",
			a.out, w->counts[NEXMARK_PERSON], w->counts[NEXMARK_AUCTION],
			w->counts[NEXMARK_BID], seconds_since(&w->started));
	free(w);
	return code;
}
