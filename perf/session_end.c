// One end of a session in a process of its own, with all that production has between two tasks:
// sender, outlet, session, link; link, session, inlet, receiver. perf/cluster.py starts two over
// one link, or one that plays both ends on one core, to see what the transport itself costs.
#include <argp.h>
#include <inttypes.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/engine.h"
#include "dataplane/link_set.h"
#include "numa/assert.h"
#include "numa/clock.h"
#include "numa/pin.h"
#include "perf/session_pair.h"

enum { WARM_UP_NS = 700000000, PINGS_MAX = 1 << 20, STEP_FRAMES = 32, STEP_NS = 3000 };

struct options {
	struct pair_options pair;
	double seconds;
	unsigned cpu;
	bool transmit, ping, own, bare;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case 'd':
		o->pair.device = text;
		break;
	case 'b':
		o->pair.wire_bytes = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 'l':
		o->pair.loss = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 's':
		o->seconds = strtod(text, NULL);
		break;
	case 'c':
		o->cpu = (unsigned)strtoul(text, NULL, 10);
		break;
	case 't':
		o->transmit = true;
		break;
	case 'p':
		o->ping = true;
		break;
	case 'o':
		o->own = true;
		break;
	case 'r':
		o->bare = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option options[] = {
	{"device", 'd', "ARGUMENTS", 0, "DPDK's device arguments; with --own of memif's socket", 0},
	{"bytes", 'b', "N", 0, "of a frame on the wire, without FCS (1514)", 0},
	{"loss", 'l', "PARTS", 0, "of a million packets received, lost", 0},
	{"seconds", 's', "S", 0, "to measure for (2)", 0},
	{"cpu", 'c', "N", 0, "to run on (0)", 0},
	{"transmit", 't', NULL, 0, "send, or ask; else receive, or answer", 0},
	{"ping", 'p', NULL, 0, "one record there and back, in turn", 0},
	{"own", 'o', NULL, 0, "both ends in this thread: what a frame costs", 0},
	{"bare", 'r', NULL, 0, "without transport", 0},
	{0},
};

// ---- throughput

// Questions of neighbours come to a bare link's sender too.
static uint64_t send_step(struct pair_end *e, bool bare)
{
	if (bare)
		bare_receive(e);
	return bare ? bare_send(e) : end_send(e, STEP_FRAMES);
}

static uint64_t receive_step(struct pair_end *e, bool bare)
{
	return bare ? bare_receive(e) : end_receive(e);
}

static uint64_t run_for(struct pair_end *e, const struct options *o, int64_t ns)
{
	uint64_t frames = 0;
	int64_t end_ns = clock_now_ns() + ns;
	while (end_step(e, o->bare) < end_ns && !stopped)
		frames += o->transmit ? send_step(e, o->bare) : receive_step(e, o->bare);
	return frames;
}

static void print_throughput(const struct pair_end *e, uint64_t frames, double seconds)
{
	const struct session_stats *s = &e->session->stats;
	struct link_port_counters c;
	link_port_report(e->links.ports[0], &c);
	printf("{\"frames\": %.0f, \"records\": %.0f, \"bits\": %.0f, \"wire_bytes\": %u, "
	       "\"sent_bytes\": %" PRIu64 ", \"frames_sent\": %" PRIu64 ", \"resends\": %" PRIu64
	       ", \"timeouts\": %" PRIu64 ", \"window\": %.0f}\n",
		(double)frames / seconds, (double)frames * e->items / seconds,
		(double)frames * e->wire_bytes * 8 / seconds, e->wire_bytes,
		c.counted[LINK_PORT_SENT_BYTES], s->frames_sent, s->resends, s->timeouts,
		e->session->congestion.window);
}

static int run_throughput(struct pair_end *e, const struct options *o)
{
	if (o->transmit) {
		run_for(e, o, INT64_MAX / 2);
		print_throughput(e, 0, 1);
		return 0;
	}
	int64_t limit_ns = clock_now_ns() + PAIR_PATIENCE_NS;
	while (receive_step(e, o->bare) == 0)
		if (end_step(e, o->bare) > limit_ns)
			return 1;
	run_for(e, o, WARM_UP_NS);
	int64_t start_ns = clock_now_ns();
	uint64_t frames = run_for(e, o, (int64_t)(o->seconds * 1e9));
	print_throughput(e, frames, (double)(clock_now_ns() - start_ns) / 1e9);
	return 0;
}

// ---- round trips

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static int run_answers(struct pair_end *e, const struct options *o)
{
	while (!stopped) {
		end_step(e, o->bare);
		uint64_t came = o->bare ? bare_receive(e) : end_receive(e);
		if (came != 0)
			o->bare ? bare_send_one(e) : end_send_one(e);
	}
	return 0;
}

static int run_pings(struct pair_end *e, const struct options *o)
{
	int64_t *took = calloc(PINGS_MAX, sizeof(*took)), limit_ns = 0, end_ns = 0, now_ns;
	uint32_t count = 0;
	if (took == NULL)
		return 1;
	limit_ns = clock_now_ns() + PAIR_PATIENCE_NS;
	while (count < PINGS_MAX) {
		int64_t asked_ns = clock_now_ns();
		if (!(o->bare ? bare_send_one(e) : end_send_one(e))) {
			if (o->bare)
				bare_receive(e);
			if (end_step(e, o->bare) > limit_ns)
				return 1;
			continue;
		}
		while ((now_ns = end_step(e, o->bare)) < limit_ns &&
			(o->bare ? bare_receive(e) : end_receive(e)) == 0)
			;
		if (end_ns == 0) {
			end_ns = now_ns + WARM_UP_NS + (int64_t)(o->seconds * 1e9);
			limit_ns = end_ns + PAIR_PATIENCE_NS;
		}
		if (now_ns >= end_ns && count != 0)
			break;
		if (now_ns >= limit_ns)
			break;
		if (now_ns >= end_ns - (int64_t)(o->seconds * 1e9))
			took[count++] = clock_now_ns() - asked_ns;
	}
	qsort(took, count, sizeof(*took), compare);
	if (count != 0)
		printf("{\"count\": %u, \"p50\": %" PRId64 ", \"p99\": %" PRId64
		       ", \"p99.9\": %" PRId64 "}\n",
			count, took[count / 2], took[(uint64_t)count * 99 / 100],
			took[(uint64_t)count * 999 / 1000]);
	free(took);
	return count == 0;
}

// ---- own cost

static double cpu_ns(void)
{
	struct timespec used;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (double)used.tv_sec * 1e9 + (double)used.tv_nsec;
}

// CPU time a frame, of both ends together.
static double own_cost(struct pair_end ends[2], bool bare, double seconds)
{
	uint64_t frames = 0;
	double start_ns = cpu_ns();
	while (cpu_ns() - start_ns < seconds * 1e9)
		for (uint32_t i = 0; i < 256; i++) {
			send_step(&ends[0], bare);
			end_step(&ends[0], bare);
			end_step(&ends[1], bare);
			frames += receive_step(&ends[1], bare);
		}
	return (cpu_ns() - start_ns) / (double)frames;
}

// With the transport and without, in turn.
static int run_own(struct pair_end ends[2], const struct options *o)
{
	enum { ROUNDS = 9 };
	int64_t limit_ns = clock_now_ns() + PAIR_PATIENCE_NS;
	while (end_receive(&ends[1]) == 0) {
		end_send(&ends[0], 1);
		end_step(&ends[0], false);
		if (end_step(&ends[1], false) > limit_ns)
			return 1;
	}
	// Time goes on by what a step takes: where other programs take the core meanwhile, sessions
	// would slow down, and their idle steps would count.
	ends[0].step_ns = ends[1].step_ns = STEP_NS;
	own_cost(ends, false, o->seconds / ROUNDS);
	printf("[");
	for (uint32_t round = 0; round < ROUNDS; round++) {
		double full = own_cost(ends, false, o->seconds / (2 * ROUNDS));
		end_drain(&ends[0], &ends[1]);
		double bare = own_cost(ends, true, o->seconds / (2 * ROUNDS));
		printf("%s[%.2f, %.2f]", round == 0 ? "" : ", ", full, bare);
	}
	printf("]\n");
	return 0;
}

// ----

static int run(struct pair_end ends[2], const struct options *o)
{
	struct pair_end *e = &ends[o->transmit ? 0 : 1];
	if (o->own)
		return run_own(ends, o);
	if (!o->ping)
		return run_throughput(e, o);
	return o->transmit ? run_pings(e, o) : run_answers(e, o);
}

int main(int argc, char **argv)
{
	static struct pair_end ends[2];
	struct options o = {.pair = {.wire_bytes = 1514}, .seconds = 2};
	struct argp argp = {options, option_parse, NULL, "One end of a session.", NULL, NULL, NULL};
	bool huge;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	signal(SIGTERM, stop);
	if (o.pair.device == NULL || engine_eal_start(160 << 20, &huge) != 0)
		return 2;
	clock_init();
	bool first = o.own || o.transmit, second = o.own || !o.transmit;
	if ((second && pair_end_create(&ends[1], 1, &o.pair) != 0) ||
		(first && pair_end_create(&ends[0], 0, &o.pair) != 0))
		return 2;
	if (pin_thread(o.cpu) != 0)
		return 2;
	int code = run(ends, &o);
	if (code != 0)
		fprintf(stderr, "session_end: nothing comes through\n");
	fflush(stdout);
	pair_end_destroy(&ends[0]);
	pair_end_destroy(&ends[1]);
	return code;
}
