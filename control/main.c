#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "control/commands.h"
#include "control/suggest.h"

struct command {
	const char *name, *called; // alone, and as messages call it
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command commands[] = {
	{"run", "weir run", run_command, "run a job to its end"},
	{"check", "weir check", check_command, "check job files without running them"},
	{"kinds", "weir kinds", kinds_command, "list kinds of operators and their parameters"},
	{"topo", "weir topo", topo_command, "draw a host, and what would run where and why"},
	{"nexmark", "weir nexmark", nexmark_command, "write the events of the NEXMark benchmark"},
	{"submit", "weir submit", submit_command, "have a cluster run a job"},
	{"list", "weir list", list_command, "list a cluster's jobs"},
	{"status", "weir status", status_command, "show what a job of a cluster does"},
	{"cancel", "weir cancel", cancel_command, "end a job of a cluster early"},
	{"nodes", "weir nodes", nodes_command, "list a cluster's nodes"},
	{"events", "weir events", events_command, "show what happened in a cluster"},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *out)
{
	fputs("Weir runs stream jobs on pinned, polled cores.\n\nUsage: weir COMMAND …\n\n", out);
	for (int i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fputs("\nTry these:\n\n"
	      "  weir run examples/nexmark/q5.yaml      the busiest auctions of every 10 s\n"
	      "  weir run examples/flights/delays.yaml  delays per airport and hour\n"
	      "  weir check examples/*/*.yaml           is everything in them sound?\n"
	      "  weir topo examples/nexmark/q5.yaml     where would its tasks run here?\n"
	      "  weir submit --wait examples/nexmark/q5.yaml    the same in a cluster\n"
	      "  weir COMMAND --help                    more about one of them\n",
		out);
}

static int say_unknown(const char *name)
{
	struct suggestion near;
	char text[128];
	suggest_start(&near, name);
	for (int i = 0; i < COMMAND_COUNT; i++)
		suggest_offer(&near, commands[i].name);
	fprintf(stderr, "weir: there is no command %s%s; `weir --help` lists them\n", name,
		suggest_text(&near, text));
	return 2;
}

// What was printed is on its way, or the exit code says that it is not.
static int finish(int code)
{
	if ((fflush(stdout) == 0 && !ferror(stdout)) || code != 0)
		return code;
	perror("weir: standard output cannot be written");
	return 1;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	argp_program_version = "weir " WEIR_VERSION;
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		print_help(stdout);
		return finish(0);
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		puts(argp_program_version);
		return finish(0);
	}
	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	for (int i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		argv[1] = (char *)commands[i].called;
		return finish(commands[i].run(argc - 1, argv + 1));
	}
	return say_unknown(name);
}
