#include "dataplane/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/engine_parts.h"
#include "numa/assert.h"

int engine_create(const struct engine_config *config, char *error, uint32_t error_bytes,
	struct engine **ret_engine)
{
	struct engine *e = aligned_alloc(64, (sizeof(*e) + 63) & ~(size_t)63);
	if (e == NULL)
		return -ENOMEM;
	memset(e, 0, sizeof(*e));
	e->config = *config;
	int result = engine_build(e);
	if (result == 0) {
		*ret_engine = e;
		return 0;
	}
	snprintf(error, error_bytes, "%s", e->error);
	engine_destroy(e);
	return result;
}

void engine_destroy(struct engine *e)
{
	if (e == NULL)
		return;
	engine_abort(e);
	engine_dismantle(e);
	free(e);
}

static void tell_start(struct engine *e)
{
	for (uint32_t t = 0; t < e->task_count; t++)
		for (uint32_t i = 0; i < e->tasks[t].link_count; i++)
			e->tasks[t].links[i].ctx.start_ns = e->started_ns;
}

int engine_start(struct engine *e)
{
	e->started_ns = node_now_ns(e->config.node);
	tell_start(e);
	e->checkpoint.next_ns = e->started_ns + e->checkpoint.interval_ns;
	e->attached = true;
	for (uint32_t w = 0; w < e->worker_count; w++) {
		int error = node_attach(e->config.node, e->config.node_worker + w,
			&e->workers[w].worker);
		if (error != 0) {
			engine_abort(e);
			return error;
		}
	}
	return 0;
}

void engine_interrupt(struct engine *e)
{
	e->interrupted = true;
	atomic_store_explicit(&e->control.interrupt, true, memory_order_release);
}

void engine_abort(struct engine *e)
{
	for (uint32_t w = 0; w < e->worker_count && e->attached; w++)
		node_detach(e->config.node, e->config.node_worker + w, &e->workers[w].worker);
	e->attached = false;
}

static enum task_outcome outcome_of(struct task *t)
{
	return atomic_load_explicit(&t->outcome_seen, memory_order_acquire);
}

static bool any_failed(struct engine *e)
{
	for (uint32_t t = 0; t < e->task_count; t++) {
		if (outcome_of(&e->tasks[t]) != TASK_FAILED)
			continue;
		engine_abort(e);
		uint32_t op = e->config.plan->tasks[t].steps[0].operator_index;
		for (uint32_t i = 0; i < e->tasks[t].link_count; i++)
			if (e->tasks[t].links[i].ctx.error[0] != 0 &&
				e->tasks[t].links[i].operator_index != UINT32_MAX)
				op = e->tasks[t].links[i].operator_index;
		snprintf(e->error, sizeof(e->error), "%s: %.400s", e->config.plan->operator_ids[op],
			task_error(&e->tasks[t]));
		return true;
	}
	return false;
}

enum engine_state engine_poll(struct engine *e)
{
	engine_serve_loans(e);
	if (any_failed(e))
		return ENGINE_FAILED;
	for (uint32_t w = 0; w < e->worker_count; w++) {
		const struct worker *worker = &e->workers[w].worker;
		if (!atomic_load_explicit(&worker->done, memory_order_acquire)) {
			checkpoint_drive(&e->checkpoint, node_now_ns(e->config.node));
			return ENGINE_RUNNING;
		}
	}
	if (e->config.network == NULL)
		engine_abort(e); // else it goes on answering other nodes until it is destroyed
	if (any_failed(e))
		return ENGINE_FAILED;
	for (uint32_t w = 0; w < e->worker_count; w++)
		if (e->workers[w].worker.ended_ns > e->ended_ns)
			e->ended_ns = e->workers[w].worker.ended_ns;
	return e->interrupted ? ENGINE_INTERRUPTED : ENGINE_FINISHED;
}

// Of two instances of a task the owner's output and figures are the job's.
static bool engine_counts(const struct engine *e, uint32_t task)
{
	return atomic_load_explicit(&e->counts[task], memory_order_relaxed);
}

int engine_publish(struct engine *e)
{
	for (uint32_t t = 0; t < e->task_count; t++) {
		for (uint32_t i = 0; engine_counts(e, t) && i < e->tasks[t].link_count; i++) {
			struct chain_link *link = &e->tasks[t].links[i];
			if (link->kind->publish == NULL || link->published)
				continue;
			int error = link->kind->publish(link->self, &link->ctx);
			link->published = error == 0;
			if (error == 0)
				continue;
			snprintf(e->error, sizeof(e->error), "%s: %.400s",
				e->config.plan->operator_ids[link->operator_index],
				link->ctx.error);
			return error;
		}
	}
	return 0;
}

const char *engine_error(const struct engine *e)
{
	return e->error;
}

int64_t engine_started_ns(const struct engine *e)
{
	return e->started_ns;
}

double engine_seconds(const struct engine *e)
{
	int64_t until = e->ended_ns != 0 ? e->ended_ns : node_now_ns(e->config.node);
	return (double)(until - e->started_ns) / 1e9;
}

bool engine_refresh(struct engine *e)
{
	bool ready = e->figures_asked;
	for (uint32_t w = 0; w < e->worker_count; w++)
		ready = ready && worker_figures_ready(&e->workers[w].worker);
	if (!ready && !e->figures_asked)
		for (uint32_t w = 0; w < e->worker_count; w++)
			worker_ask_figures(&e->workers[w].worker);
	e->figures_asked = !ready;
	return ready;
}

int64_t engine_event_time(const struct engine *e)
{
	int64_t lowest = INT64_MAX;
	for (uint32_t t = 0; t < e->task_count; t++)
		if (engine_owns(e, t) && e->tasks[t].event_time_shown < lowest)
			lowest = e->tasks[t].event_time_shown;
	return lowest;
}

// Workers change its figures, so those shown are to be read.
static bool is_running(const struct engine *e)
{
	return e->attached && e->ended_ns == 0;
}

static const struct weir_counters *counters_of(const struct engine *e,
	const struct chain_link *link)
{
	return is_running(e) ? &link->shown : &link->counters;
}

static bool emits_packed(const struct engine *e, const struct chain_link *link)
{
	return is_running(e) ? link->shown_packed : link->emits_packed;
}

// Records that went into a link, or through it: who passes packed runs on untouched leaves the
// counting to whoever walks them.
static uint64_t records_into(const struct engine *e, const struct task *t, uint32_t i)
{
	while (emits_packed(e, &t->links[i]) && counters_of(e, &t->links[i])->records_in == 0 &&
		i + 1 < t->link_count)
		i++;
	return counters_of(e, &t->links[i])->records_in;
}

static void add_counters(const struct engine *e, struct engine_figures *figures,
	const struct task *t, uint32_t i)
{
	const struct weir_counters *c = counters_of(e, &t->links[i]);
	bool source = t->links[i].kind->role == WEIR_SOURCE;
	figures->counters.records_in += source ? 0 : records_into(e, t, i);
	figures->counters.records_out +=
		emits_packed(e, &t->links[i]) && i + 1 < t->link_count && !source
		? records_into(e, t, i + 1)
		: c->records_out;
	figures->counters.routed += c->routed;
	for (uint32_t d = 0; d < WEIR_DROP_COUNT; d++)
		figures->counters.dropped[d] += c->dropped[d];
	for (uint32_t r = 0; r < t->input_count && i == 0; r++) // frames, by the first to read them
		for (uint32_t d = 0; d < WEIR_DROP_COUNT; d++)
			figures->counters.dropped[d] +=
				atomic_load_explicit(&t->receivers[r].dropped[d],
					memory_order_relaxed);
}

static const struct worker_load *load_of(const struct engine *e, uint32_t task)
{
	const struct worker *w = &engine_worker_of(e, task)->worker;
	uint32_t at = 0;
	while (w->tasks[at] != &e->tasks[task])
		at++;
	return is_running(e) ? &w->loads_shown[at] : &w->loads[at];
}

void engine_figures(const struct engine *e, uint32_t operator_index,
	struct engine_figures *ret_figures)
{
	struct engine_figures figures = {0};
	int64_t busy_ns = 0, blocked_ns = 0;
	for (uint32_t t = 0; t < e->task_count; t++) {
		for (uint32_t i = 0; engine_counts(e, t) && i < e->tasks[t].link_count; i++) {
			if (e->tasks[t].links[i].operator_index != operator_index)
				continue;
			add_counters(e, &figures, &e->tasks[t], i);
			busy_ns += load_of(e, t)->busy_ns;
			blocked_ns += load_of(e, t)->blocked_ns;
			figures.tasks++;
		}
	}
	double span = engine_seconds(e) * 1e9 * (figures.tasks == 0 ? 1 : figures.tasks);
	figures.busy_share = span > 0 ? (double)busy_ns / span : 0;
	figures.backpressured_share = span > 0 ? (double)blocked_ns / span : 0;
	*ret_figures = figures;
}

void engine_checkpoints(const struct engine *e, struct engine_checkpoints *ret_checkpoints)
{
	struct engine_checkpoints c = {
		.committed = atomic_load_explicit(&e->control.committed, memory_order_relaxed),
		.early = atomic_load_explicit(&e->checkpoint.early, memory_order_relaxed)};
	double span_ns = engine_seconds(e) * 1e9;
	for (uint32_t t = 0; t < e->task_count; t++) {
		if (!engine_owns(e, t))
			continue;
		const struct worker_load *load = load_of(e, t);
		double waited = span_ns > 0 ? (double)load->awaiting_ns / span_ns : 0;
		c.waiting_share_max = waited > c.waiting_share_max ? waited : c.waiting_share_max;
		if (load->pause_ns_max > c.pause_ns_max)
			c.pause_ns_max = load->pause_ns_max;
		if (load->snapshot_bytes_max > c.snapshot_bytes_max)
			c.snapshot_bytes_max = load->snapshot_bytes_max;
	}
	*ret_checkpoints = c;
}

void engine_report(const struct engine *e, uint32_t operator_index, struct weir_reporter *reporter)
{
	if (is_running(e))
		return;
	for (uint32_t t = 0; t < e->task_count; t++) {
		for (uint32_t i = 0; engine_counts(e, t) && i < e->tasks[t].link_count; i++) {
			const struct chain_link *link = &e->tasks[t].links[i];
			if (link->operator_index == operator_index && link->kind->report != NULL)
				link->kind->report(link->self, reporter);
		}
	}
}
