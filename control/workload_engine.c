#include "control/workload_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/workload_part.h"
#include "numa/assert.h"

enum { STEP_NS = 1000000, FIGURES_NS = 200000000 };

static struct workload_engine *engine_of(struct workload *workload)
{
	return (struct workload_engine *)workload;
}

// ---- in the background ----

static void publish(struct workload_part *part)
{
	if (engine_publish(part->engine) != 0)
		fail(part, engine_error(part->engine));
	else
		set_state(part, WORKLOAD_PUBLISHED);
}

static void tear_down(struct workload_part *part)
{
	engine_destroy(part->engine);
	if (part->job != NULL)
		job_destroy(part->job);
	free(part->job);
	heap_destroy(&part->figures);
	heap_destroy(&part->heap);
	free(part);
}

static void act(struct errand *errand)
{
	struct workload_part *part = (struct workload_part *)errand;
	struct workload_engine *w = part->of;
	if (part->action == ACTION_BUILD)
		part_build(w, part);
	else if (part->action == ACTION_PUBLISH)
		publish(part);
	pthread_mutex_lock(&w->lock);
	bool doomed = part->doomed;
	part->busy = false;
	pthread_mutex_unlock(&w->lock);
	if (doomed)
		tear_down(part);
}

// ---- on the control plane's loop ----

static void enqueue_locked(struct workload_engine *w, struct workload_part *part,
	enum action action)
{
	part->action = action;
	part->busy = true;
	w->config.background->ops->add(w->config.background, &part->errand);
}

static void enqueue(struct workload_engine *w, struct workload_part *part, enum action action)
{
	pthread_mutex_lock(&w->lock);
	enqueue_locked(w, part, action);
	pthread_mutex_unlock(&w->lock);
}

static void doom(struct workload_engine *w, struct workload_part *part)
{
	pthread_mutex_lock(&w->lock);
	part->doomed = true;
	if (!part->busy)
		enqueue_locked(w, part, ACTION_NONE);
	pthread_mutex_unlock(&w->lock);
}

static int engine_prepare(struct workload *workload, const struct workload_request *request,
	struct workload_part **ret_part)
{
	struct workload_engine *w = engine_of(workload);
	ASSERT(request->self < request->participant_count);
	const struct workload_participant *self = &request->participants[request->self];
	if (self->workers == 0 || self->workers > w->config.worker_count ||
		self->node_worker > w->config.worker_count - self->workers)
		return -EINVAL;
	struct workload_part *part = calloc(1, sizeof(*part));
	if (part == NULL)
		return -ENOMEM;
	part->errand.run = act;
	part->of = w;
	part_keep_request(part, request);
	set_state(part, WORKLOAD_PREPARING);
	part->next = w->parts;
	w->parts = part;
	enqueue(w, part, ACTION_BUILD);
	*ret_part = part;
	return 0;
}

static void engine_start_part(struct workload *workload, struct workload_part *part)
{
	if (state_of(part) != WORKLOAD_PREPARED)
		return;
	int error = engine_start(part->engine);
	if (error != 0)
		fail(part, strerror(-error));
	else
		set_state(part, WORKLOAD_RUNNING);
}

static void engine_interrupt_part(struct workload *workload, struct workload_part *part)
{
	if (state_of(part) == WORKLOAD_RUNNING)
		engine_interrupt(part->engine);
}

static void collect(struct workload_part *part, int64_t now_ns)
{
	heap_destroy(&part->figures);
	part->figures = (struct heap){0};
	part->figures_at_ns = now_ns;
	report_collect(&part->report, &part->figures, &part->planned.plan, part->engine);
	part->report.seconds = engine_seconds(part->engine);
}

static void engine_publish_part(struct workload *workload, struct workload_part *part)
{
	enum workload_state state = state_of(part);
	if (state != WORKLOAD_FINISHED && state != WORKLOAD_INTERRUPTED)
		return;
	set_state(part, WORKLOAD_PUBLISHING);
	enqueue(engine_of(workload), part, ACTION_PUBLISH);
}

static void engine_lose_part(struct workload *workload, struct workload_part *part, uint32_t lost,
	uint64_t successor, bool alone)
{
	enum workload_state state = state_of(part);
	if (state >= WORKLOAD_PREPARED && state <= WORKLOAD_PUBLISHED)
		part_lose(part, lost, successor, alone);
}

static void engine_admit_part(struct workload *workload, struct workload_part *part,
	const struct workload_admission *admission)
{
	if (state_of(part) == WORKLOAD_RUNNING && part->request.participant_count > 1)
		part_admit(engine_of(workload), part, admission);
}

static void engine_discard(struct workload *workload, struct workload_part *part)
{
	struct workload_engine *w = engine_of(workload);
	struct workload_part **at = &w->parts;
	while (*at != part)
		at = &(*at)->next;
	*at = part->next;
	if (state_of(part) == WORKLOAD_RUNNING)
		engine_abort(part->engine);
	doom(w, part);
}

static void engine_status(const struct workload *workload, const struct workload_part *part,
	struct workload_status *ret_status)
{
	const struct workload_engine *w = (const struct workload_engine *)workload;
	enum workload_state state = state_of(part);
	*ret_status = (struct workload_status){
		.state = part->owed && state == WORKLOAD_PUBLISHED ? WORKLOAD_PUBLISHING : state,
		.error = state == WORKLOAD_FAILED ? part->error
			: part->refusal[0] != 0   ? part->refusal
						  : NULL,
		.plan_hash = state >= WORKLOAD_PREPARED ? part->plan_hash : 0,
		.progress = w->pulse.progress,
		.starved_ns = w->pulse.starved_ns,
		.seconds = part->report.seconds,
		.operator_count = part->report.operator_count,
		.operators = part->report.operators,
		.lost_count = part->lost_count,
		.lost = part->lost,
		.admitted_count = part->admitted_count,
		.admitted = part->admitted,
		.repaired_count = part->repaired_count,
		.repaired = part->repaired};
	if (state >= WORKLOAD_PREPARED && part->covers != NULL) {
		ret_status->cover_count = part->request.participant_count;
		ret_status->covers = part->covers;
	}
}

static void publish_owed(struct workload_engine *w, struct workload_part *part)
{
	pthread_mutex_lock(&w->lock);
	if (!part->busy) {
		part->owed = false;
		set_state(part, WORKLOAD_PUBLISHING);
		enqueue_locked(w, part, ACTION_PUBLISH);
	}
	pthread_mutex_unlock(&w->lock);
}

static void attend(struct workload_engine *w, struct workload_part *part, int64_t now_ns)
{
	if (part->owed && state_of(part) == WORKLOAD_PUBLISHED)
		publish_owed(w, part);
	if (state_of(part) < WORKLOAD_RUNNING || state_of(part) > WORKLOAD_INTERRUPTED)
		return;
	enum engine_state state = engine_poll(part->engine);
	part_note_places(part);
	if (state_of(part) != WORKLOAD_RUNNING)
		return; // it only gives others what they need
	if (state != ENGINE_RUNNING ||
		(now_ns - part->figures_at_ns >= FIGURES_NS && engine_refresh(part->engine)))
		collect(part, now_ns);
	if (state == ENGINE_FAILED)
		fail(part, engine_error(part->engine));
	else if (state != ENGINE_RUNNING)
		set_state(part,
			state == ENGINE_FINISHED ? WORKLOAD_FINISHED : WORKLOAD_INTERRUPTED);
}

static int64_t engine_step(struct workload *workload, int64_t now_ns)
{
	struct workload_engine *w = engine_of(workload);
	pulse_look(&w->pulse, now_ns);
	for (struct workload_part *part = w->parts; part != NULL; part = part->next)
		attend(w, part, now_ns);
	return w->parts == NULL ? INT64_MAX : now_ns + STEP_NS;
}

static void engine_destroy_workload(struct workload *workload)
{
	struct workload_engine *w = engine_of(workload);
	if (w == NULL)
		return;
	while (w->parts != NULL)
		engine_discard(workload, w->parts);
	w->config.background->ops->destroy(w->config.background);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->reaching);
	pulse_destroy(&w->pulse);
	free(w);
}

static const struct workload_ops ops = {
	.prepare = engine_prepare,
	.start = engine_start_part,
	.interrupt = engine_interrupt_part,
	.publish = engine_publish_part,
	.discard = engine_discard,
	.status = engine_status,
	.step = engine_step,
	.destroy = engine_destroy_workload,
	.lose = engine_lose_part,
	.admit = engine_admit_part,
};

int workload_engine_create(const struct workload_engine_config *config,
	struct workload **ret_workload)
{
	struct workload_engine *w = calloc(1, sizeof(*w));
	if (w == NULL || pulse_create(&w->pulse, config->node, config->worker_count) < 0) {
		free(w);
		return -ENOMEM;
	}
	w->workload.ops = &ops;
	w->config = *config;
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->reaching, NULL);
	*ret_workload = &w->workload;
	return 0;
}
