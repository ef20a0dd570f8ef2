// `weir submit`, `list`, `status`, `cancel`, `nodes`, `events`.
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/client.h"
#include "control/cluster_show.h"
#include "control/commands.h"
#include "control/process.h"
#include "numa/assert.h"

enum {
	KEY_CONTROLLER = 'c',
	KEY_JSON = 'j',
	KEY_SET = 's',
	KEY_WAIT = 'w',
	KEY_PUBLISH = 'p',
	WAIT_NS = 100000000,
	WAIT_TRIES = 40, // each takes a second and a half where nobody is there
};

// One command: its name for messages, how many arguments it takes, how its answer is shown.
struct command {
	const char *name;
	uint32_t argument_count; // 0 or 1
	const char *missing;     // what to say when the argument is not there
	void (*show)(const Weir__Reply *reply, FILE *out);
	void (*show_json)(const Weir__Reply *reply, FILE *out);
};

struct options {
	const struct command *command;
	const char *controller, *argument;
	char **sets;
	size_t set_count;
	bool json, wait, publish;
	struct client_place place;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case KEY_CONTROLLER:
		o->controller = text;
		return 0;
	case KEY_JSON:
		o->json = true;
		return 0;
	case KEY_SET:
		if (o->set_count == MESSAGE_SETS_MAX)
			argp_error(state, "there are more than %d --set", MESSAGE_SETS_MAX);
		o->sets[o->set_count++] = text;
		return 0;
	case KEY_WAIT:
		o->wait = true;
		return 0;
	case KEY_PUBLISH:
		o->publish = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num >= o->command->argument_count)
			argp_error(state, "%s is one argument too many", text);
		o->argument = text;
		return 0;
	case ARGP_KEY_NO_ARGS:
		if (o->command->argument_count > 0)
			argp_error(state, "%s", o->command->missing);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

#define CLUSTER_OPTIONS                                                                            \
	{"controller", KEY_CONTROLLER, "ADDRESS,…", 0,                                             \
		"Where the controllers are, as tcp:host:port or unix:/path; by default "           \
		"$WEIR_CONTROLLER, then ~/.config/weir/client.yaml, then "                         \
		"unix:/run/weir/controller.sock",                                                  \
		0},                                                                                \
	{                                                                                          \
		"json", KEY_JSON, NULL, 0, "Print JSON, with a schema", 0                          \
	}

#define EXIT_CODES "\nExit codes: 0 done, 1 no answer or too late, 2 wrong use."

static const struct argp_option plain_options[] = {CLUSTER_OPTIONS, {0}};

// What came of asking: a reply without an error, or NULL and the exit code.
static Weir__Message *take_reply(struct options *o, const Weir__Request *request,
	Weir__Message *message, const char *why, int *ret_code)
{
	*ret_code = PROCESS_FAILED;
	if (!message) {
		fprintf(stderr, "%s: %s\n", o->command->name, *why ? why : "no answer");
		return NULL;
	}
	if (*message->reply->warning)
		fprintf(stderr, "%s: %s\n", o->command->name, message->reply->warning);
	if (!*message->reply->error)
		return message;
	const char *error = message->reply->error;
	size_t bytes = strlen(error);
	bool place = message->reply->wrong_use && request->what_case == WEIR__REQUEST__WHAT_SUBMIT;
	fprintf(stderr, "%s%s%s%s", place ? "" : o->command->name, place ? "" : ": ", error,
		bytes && error[bytes - 1] == '\n' ? "" : "\n");
	*ret_code = message->reply->wrong_use ? PROCESS_USE : PROCESS_FAILED;
	message_free(message);
	return NULL;
}

static Weir__Message *ask(struct options *o, Weir__Request *request, int *ret_code)
{
	char why[BUS_WHY_BYTES];
	Weir__Message *message = client_ask(&o->place, request, why);
	return take_reply(o, request, message, why, ret_code);
}

static int ask_and_show(struct options *o, Weir__Request *request)
{
	int code;
	Weir__Message *message = ask(o, request, &code);
	if (!message)
		return code;
	(o->json ? o->command->show_json : o->command->show)(message->reply, stdout);
	message_free(message);
	return PROCESS_DONE;
}

static int run(struct options *o, const struct argp *argp, int argc, char **argv,
	int (*body)(struct options *o))
{
	int code = PROCESS_USE;
	o->sets = calloc((size_t)argc + 1, sizeof(*o->sets));
	VERIFY(o->sets);
	argp_err_exit_status = PROCESS_USE;
	argp_parse(argp, argc, argv, 0, NULL, o);
	if (client_place_find(&o->place, o->controller) == 0)
		code = body(o);
	client_place_destroy(&o->place);
	free(o->sets);
	return code;
}

static int list_body(struct options *o)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	request.what_case = WEIR__REQUEST__WHAT_LIST;
	request.list = true;
	return ask_and_show(o, &request);
}

int list_command(int argc, char **argv)
{
	static const struct command command = {"weir list", 0, NULL, show_jobs, show_jobs_json};
	static const struct argp argp = {plain_options, parse, NULL,
		"List a cluster's jobs, those that have ended lately too.\v"
		"  weir list\n"
		"  weir list --json | jq -r '.jobs[] | .id + \" \" + .state'\n" EXIT_CODES,
		NULL, NULL, NULL};
	struct options o = {.command = &command};
	return run(&o, &argp, argc, argv, list_body);
}

static int status_body(struct options *o)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	request.what_case = WEIR__REQUEST__WHAT_STATUS;
	request.status = (char *)o->argument;
	return ask_and_show(o, &request);
}

int status_command(int argc, char **argv)
{
	static const struct command command = {
		"weir status", 1, "name a job, as `weir list` shows it", show_job, show_job_json};
	static const struct argp argp = {plain_options, parse, "JOB",
		"Show what a job does: its state, its nodes, the figures of its operators.\v"
		"  weir status q5-1f2a77c0        as `weir submit` and `weir list` name it\n\n"
		"A job with `recovery` says what may still die. Figures are those of a node's own "
		"tasks; replicas have none until they take over.\n" EXIT_CODES,
		NULL, NULL, NULL};
	struct options o = {.command = &command};
	return run(&o, &argp, argc, argv, status_body);
}

static int nodes_body(struct options *o)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	request.what_case = WEIR__REQUEST__WHAT_NODES;
	request.nodes = true;
	return ask_and_show(o, &request);
}

int nodes_command(int argc, char **argv)
{
	static const struct command command = {"weir nodes", 0, NULL, show_nodes, show_nodes_json};
	static const struct argp argp = {plain_options, parse, NULL,
		"List a cluster's nodes, and why the dead ones count as dead.\v"
		"  weir nodes\n"
		"  weir nodes --json | jq '.nodes[] | select(.state != \"alive\")'\n" EXIT_CODES,
		NULL, NULL, NULL};
	struct options o = {.command = &command};
	return run(&o, &argp, argc, argv, nodes_body);
}

static int events_body(struct options *o)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	request.what_case = WEIR__REQUEST__WHAT_EVENTS;
	return ask_and_show(o, &request);
}

int events_command(int argc, char **argv)
{
	static const struct command command = {
		"weir events", 0, NULL, show_events, show_events_json};
	static const struct argp argp = {plain_options, parse, NULL,
		"Show what happened in a cluster since its controller began to lead.\v"
		"  weir events\n" EXIT_CODES,
		NULL, NULL, NULL};
	struct options o = {.command = &command};
	return run(&o, &argp, argc, argv, events_body);
}

static int cancel_body(struct options *o)
{
	int code;
	Weir__Request request = WEIR__REQUEST__INIT;
	Weir__Cancel cancel = WEIR__CANCEL__INIT;
	cancel.job = (char *)o->argument;
	cancel.publish = o->publish;
	request.what_case = WEIR__REQUEST__WHAT_CANCEL;
	request.cancel = &cancel;
	Weir__Message *message = ask(o, &request, &code);
	if (!message)
		return code;
	const Weir__JobRecord *job =
		message->reply->n_jobs ? message->reply->jobs[0]->record : NULL;
	if (o->json)
		show_job_json(message->reply, stdout);
	else if (job)
		printf("%s %s\n", job->id,
			job->state == WEIR__JOB_STATE__JOB_CANCELLED ? "is cancelled"
								     : "ends early");
	message_free(message);
	return PROCESS_DONE;
}

int cancel_command(int argc, char **argv)
{
	static const struct command command = {
		"weir cancel", 1, "name a job, as `weir list` shows it", show_job, show_job_json};
	static const struct argp_option options[] = {
		{"publish", KEY_PUBLISH, NULL, 0,
			"Stop the sources and publish what is done, as Ctrl-C does in `weir run`",
			0},
		CLUSTER_OPTIONS, {0}};
	static const struct argp argp = {options, parse, "JOB",
		"End a job early. Nothing of it is published, but with --publish.\v"
		"  weir cancel q5-1f2a77c0\n  weir cancel --publish q5-1f2a77c0\n" EXIT_CODES,
		NULL, NULL, NULL};
	struct options o = {.command = &command};
	return run(&o, &argp, argc, argv, cancel_body);
}

static bool has_ended(const Weir__Reply *reply)
{
	return reply->n_jobs == 0 || reply->jobs[0]->record->state >= WEIR__JOB_STATE__JOB_FINISHED;
}

// While nobody answers, the job goes on, and so does the wait: a minute, for the cluster may be
// gone.
static Weir__Message *ask_patiently(struct options *o, Weir__Request *request, int *ret_code)
{
	const struct timespec pause = {.tv_nsec = WAIT_NS};
	char why[BUS_WHY_BYTES];
	Weir__Message *message = NULL;
	for (int tries = 0; tries < WAIT_TRIES; tries++) {
		message = client_ask(&o->place, request, why);
		if (message || strcmp(why, "interrupted") == 0)
			break;
		if (tries == 0)
			fprintf(stderr, "%s: %s; the job goes on, and so does the wait\n",
				o->command->name, *why ? why : "no answer");
		nanosleep(&pause, NULL);
	}
	return take_reply(o, request, message, why, ret_code);
}

// Until the job has ended. A cluster without a leader is waited for.
static int await_end(struct options *o, const char *id)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	const struct timespec pause = {.tv_nsec = WAIT_NS};
	Weir__Message *message;
	int code;
	request.what_case = WEIR__REQUEST__WHAT_STATUS;
	request.status = (char *)id;
	fprintf(stderr, "%s: job %s\n", o->command->name, id);
	while ((message = ask_patiently(o, &request, &code)) && !has_ended(message->reply)) {
		message_free(message);
		nanosleep(&pause, NULL);
	}
	if (!message)
		return code;
	(o->json ? show_job_json : show_job)(message->reply, stdout);
	bool good = message->reply->n_jobs > 0 &&
		message->reply->jobs[0]->record->state <= WEIR__JOB_STATE__JOB_INTERRUPTED;
	message_free(message);
	return good ? PROCESS_DONE : PROCESS_FAILED;
}

static char *read_file(const char *path, size_t *ret_bytes)
{
	FILE *in = fopen(path, "rb");
	char *text = malloc(MESSAGE_JOB_TEXT_MAX + 1);
	VERIFY(text);
	errno = in ? 0 : errno;
	*ret_bytes = in ? fread(text, 1, MESSAGE_JOB_TEXT_MAX + 1, in) : 0;
	if (*ret_bytes > MESSAGE_JOB_TEXT_MAX)
		errno = EFBIG;
	int error = in && ferror(in) && errno == 0 ? EIO : errno;
	if (in)
		fclose(in);
	if (error == 0)
		return text;
	fprintf(stderr, "%s: %s\n", path, strerror(error));
	free(text);
	return NULL;
}

static int submit_body(struct options *o)
{
	char token[40];
	int code = PROCESS_USE;
	Weir__Request request = WEIR__REQUEST__INIT;
	Weir__Submit submit = WEIR__SUBMIT__INIT;
	Weir__JobSpec spec = WEIR__JOB_SPEC__INIT;
	char *text = read_file(o->argument, &spec.text.len);
	if (!text)
		return code;
	snprintf(token, sizeof(token), "%016" PRIx64, process_boot());
	spec.file = (char *)o->argument;
	spec.text.data = (uint8_t *)text;
	spec.n_sets = o->set_count;
	spec.sets = o->sets;
	submit.token = token;
	submit.spec = &spec;
	request.what_case = WEIR__REQUEST__WHAT_SUBMIT;
	request.submit = &submit;
	Weir__Message *message = ask(o, &request, &code);
	free(text);
	if (!message)
		return code;
	code = PROCESS_DONE;
	if (o->wait)
		code = await_end(o, message->reply->job);
	else if (o->json)
		show_job_json(message->reply, stdout);
	else
		printf("%s\n", message->reply->job);
	message_free(message);
	return code;
}

int submit_command(int argc, char **argv)
{
	static const struct command command = {
		"weir submit", 1, "name a job file", show_job, show_job_json};
	static const struct argp_option options[] = {
		{"set", KEY_SET, "OPERATOR.PARAMETER=VALUE", 0,
			"Change the job before it is checked", 0},
		{"wait", KEY_WAIT, NULL, 0, "Wait until it has ended, and show what it came to", 0},
		CLUSTER_OPTIONS, {0}};
	static const struct argp argp = {options, parse, "JOB.yaml",
		"Have a cluster run a job, and print its id.\v"
		"  weir submit --wait --set workers.count=3 examples/nexmark/q5.yaml\n\n"
		"Without workers.count a job takes all workers that are free. Paths in the job are "
		"the nodes'. Exit codes: 0 accepted (with --wait: ended well), 1 failed, 2 wrong "
		"use or a mistake in the job file.",
		NULL, NULL, NULL};
	struct options o = {.command = &command};
	return run(&o, &argp, argc, argv, submit_body);
}
