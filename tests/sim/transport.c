#include "tests/sim/transport.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	TRIAL_EVERY = 20,
	FINISH_NS = 2000000000, // from when nothing disturbs any more; far more than is needed
};

static uint32_t pick(struct random *r, const uint32_t *from, uint32_t count)
{
	return from[random_in(r, 0, count - 1)];
}

static void draw_faults(struct random *r, struct wire_faults *f)
{
	f->delay_ns = (int64_t)random_in(r, 1000, 200000);
	f->late_ns = (int64_t)random_in(r, 1000, random_chance(r, 200) ? 5000000 : 300000);
	if (random_chance(r, 600))
		f->loss = (uint32_t)random_in(r, 0, 300);
	if (random_chance(r, 500))
		f->twice = (uint32_t)random_in(r, 0, 500);
	if (random_chance(r, 500))
		f->late = (uint32_t)random_in(r, 0, 500);
	if (random_chance(r, 300))
		f->corrupt = (uint32_t)random_in(r, 0, 50);
	if (random_chance(r, 300))
		f->refused = (uint32_t)random_in(r, 0, 100);
}

void transport_scenario_draw(struct transport_scenario *s, uint64_t seed)
{
	static const uint32_t windows[] = {1, 2, 3, 8, 63, 64, 65, 256};
	static const uint32_t frames[] = {1, 2, 5, 32, 64};
	struct random r = {seed};
	*s = (struct transport_scenario){.seed = seed,
		.endpoints = (uint32_t)random_in(&r, 2, ENDPOINTS_MAX),
		.flows = (uint32_t)random_in(&r, 1, FLOWS_MAX),
		.window = pick(&r, windows, 8),
		.frames = pick(&r, frames, 5),
		.frame_bytes = 8 * (uint32_t)random_in(&r, 20, 128),
		.holds = random_chance(&r, 300),
		.blocked = random_chance(&r, 200),
		.small_pools = random_chance(&r, 300),
		.faults_end_ns = (int64_t)random_in(&r, 5000000, 80000000)};
	draw_faults(&r, &s->faults);
	if (random_chance(&r, 300))
		s->restarts = (uint32_t)random_in(&r, 1, 4);
	s->recovery = s->restarts != 0 || random_chance(&r, 200);
	if (random_chance(&r, 400))
		s->cuts = (uint32_t)random_in(&r, 1, 4);
	if (random_chance(&r, 300)) {
		s->byte_ps = (int64_t)random_in(&r, 100, 20000);
		s->queue_ns = (int64_t)random_in(&r, 50000, 1000000);
	}
	s->blocked &= s->restarts == 0;
}

static void draw_flows(const struct transport_scenario *s, struct flow *flows)
{
	struct random r = {s->seed ^ 0x5EED};
	for (uint32_t i = 0; i < s->flows; i++) {
		uint32_t from = (uint32_t)random_in(&r, 0, s->endpoints - 1);
		uint32_t to = (from + (uint32_t)random_in(&r, 1, s->endpoints - 1)) % s->endpoints;
		flows[i] = (struct flow){.from = from, .to = to, .items = random_in(&r, 100, 6000)};
	}
}

static void describe(const struct transport_world *w, const struct transport_scenario *s)
{
	fprintf(stderr,
		"seed %" PRIu64 ": %u endpoints, %u flows, window %u, %u frames of %u bytes, loss "
		"%u twice %u late %u corrupt %u refused %u of 1000, delay %.1f us, late %.1f us, "
		"%u restarts, %u cuts%s%s%s; %" PRIu64 " rounds, %.3f ms\n",
		s->seed, s->endpoints, s->flows, s->window, s->frames, s->frame_bytes,
		s->faults.loss, s->faults.twice, s->faults.late, s->faults.corrupt,
		s->faults.refused, (double)s->faults.delay_ns / 1e3,
		(double)s->faults.late_ns / 1e3, w->restarts, w->cuts,
		s->blocked ? ", blocked" : "", s->small_pools ? ", small pools" : "",
		s->holds ? ", holds" : "", w->rounds, (double)w->now_ns / 1e6);
	for (uint32_t i = 0; i < s->flows; i++) {
		const struct flow *f = &w->flows[i];
		const struct session *x = w->endpoints[f->from].sessions[f->to];
		const struct outlet *o = &f->outlet;
		fprintf(stderr,
			"  %u to %u: %" PRIu64 " of %" PRIu64 " items, data %" PRIu64 " of %" PRIu64
			", marks %" PRIu64 " of %" PRIu64 " granted%s; session %" PRIu64
			"..%" PRIu64 ", window %.1f, lost %u\n",
			f->from, f->to, f->receiver.next_number, f->items, o->data_sent,
			o->data_limit, o->control_sent, o->control_limit,
			f->mark_waits_ns == 0 ? "" : ", a mark waits", x->first, x->next,
			x->congestion.window, x->lost_count);
	}
}

static uint64_t consumed(const struct transport_world *w)
{
	uint64_t items = 0;
	for (uint32_t f = 0; f < w->scenario.flows; f++)
		items += w->flows[f].receiver.next_number;
	return items;
}

static bool run_world(const struct transport_scenario *s, bool verbose)
{
	static struct transport_world w;
	struct flow flows[FLOWS_MAX];
	int64_t limit_ns = s->faults_end_ns + FINISH_NS;
	uint64_t items = 0;
	draw_flows(s, flows);
	transport_world_create(&w, s, flows);
	while (!w.violated && !transport_world_ended(&w)) {
		transport_world_round(&w);
		transport_check(&w);
		if (w.now_ns > limit_ns && consumed(&w) != items) { // slow: one packet a round trip
			items = consumed(&w);
			limit_ns += FINISH_NS / 10;
		}
		if (w.now_ns > limit_ns)
			transport_violate(&w, "no progress: items are still on their way");
	}
	if (!w.violated)
		transport_check_end(&w);
	if (w.violated || verbose)
		describe(&w, s);
	transport_world_destroy(&w);
	return !w.violated;
}

bool transport_run_seed(uint64_t seed, bool verbose)
{
	struct transport_scenario scenario;
	if (seed % TRIAL_EVERY == 0)
		return transport_trial_loss(seed, verbose);
	if (seed % TRIAL_EVERY == TRIAL_EVERY / 2)
		return transport_trial_share(seed, verbose);
	transport_scenario_draw(&scenario, seed);
	return run_world(&scenario, verbose);
}
