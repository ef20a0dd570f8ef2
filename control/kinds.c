#include <argp.h>
#include <stdbool.h>

#include "control/commands.h"
#include "control/reference.h"
#include "control/suggest.h"

static const char doc[] = "List the kinds of operators and their parameters, or one kind's.\v"
			  "  weir kinds\n  weir kinds window_aggregate\n";

struct kinds {
	bool markdown, cluster;
	const char *only;
};

static const struct argp_option options[] = {
	{"markdown", 'm', NULL, 0, "Print the whole reference as Markdown (docs/reference.md)", 0},
	{"cluster", 'c', NULL, 0,
		"Print the reference of cluster files as Markdown (docs/cluster-reference.md)", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct kinds *kinds = state->input;
	switch (key) {
	case 'm':
		kinds->markdown = true;
		return 0;
	case 'c':
		kinds->cluster = true;
		return 0;
	case ARGP_KEY_ARG:
		if (kinds->only)
			argp_error(state, "name one kind; %s is a second", argument);
		kinds->only = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void say_unknown(const char *name)
{
	struct suggestion near;
	char text[128];
	suggest_start(&near, name);
	for (const struct weir_operator *const *at = weir_operators; *at; at++)
		suggest_offer(&near, (*at)->kind);
	fprintf(stderr, "weir kinds: %s is not a kind of operator%s; `weir kinds` lists them\n",
		name, suggest_text(&near, text));
}

int kinds_command(int argc, char **argv)
{
	static const struct argp argp = {options, parse, "[KIND]", doc, NULL, NULL, NULL};
	struct kinds kinds = {.only = NULL};
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &kinds);
	if (kinds.cluster) {
		reference_cluster_markdown(stdout);
		return 0;
	}
	if (kinds.markdown) {
		reference_markdown(weir_operators, stdout);
		return 0;
	}
	if (reference_print(weir_operators, kinds.only, stdout) == 0)
		return 0;
	say_unknown(kinds.only);
	return 2;
}
