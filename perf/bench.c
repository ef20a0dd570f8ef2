// The benchmark driver. perf/run starts it and makes reports of what it prints.
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/clock.h"
#include "perf/modes.h"

static const struct argp_option option_table[] = {
	{"events", 'e', "N", 0, "events laid out in memory (1000000)", 0},
	{"rate", 'r', "R", 0, "events a second of event time (10000)", 0},
	{"loops", 'l', "N", 0, "times the rows are read (1)", 0},
	{"threads", 't', "N", 0, "threads (1)", 0},
	{"rounds", 'n', "N", 0, "timed runs (7)", 0},
	{0},
};

static error_t option_parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'e':
		o->events = strtoll(text, NULL, 10);
		break;
	case 'r':
		o->rate = strtoll(text, NULL, 10);
		break;
	case 'l':
		o->loops = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 't':
		o->threads = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 'n':
		o->rounds = (uint32_t)strtoul(text, NULL, 10);
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			o->mode = text;
		else if (state->arg_num == 1)
			o->name = text;
		else
			argp_usage(state);
		break;
	case ARGP_KEY_END:
		if (o->mode == NULL)
			argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct mode {
	const char *name;
	int (*run)(const struct options *options);
} modes[] = {
	{"baseline", mode_baseline},
	{"exchange", mode_exchange},
	{"latency", mode_latency},
	{"nexmark", mode_nexmark},
	{"recovery", mode_recovery},
	{"smoke", mode_smoke},
};

int main(int argc, char **argv)
{
	struct options options = {
		.events = 1000000, .rate = 10000, .loops = 1, .threads = 1, .rounds = 7};
	struct argp argp = {option_table, option_parse,
		"baseline NAME\nexchange\nlatency\nnexmark\nrecovery\nsmoke",
		"Time the engine and hand-written loops over the same rows.", NULL, NULL, NULL};

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	clock_init();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(options.mode, modes[i].name) == 0)
			return modes[i].run(&options);
	fprintf(stderr, "bench: unknown mode `%s`\n", options.mode);
	return 2;
}
