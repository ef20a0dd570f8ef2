#include "control/workload_engine.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "control/job_recovery.h"
#include "control/replicas.h"
#include "control/spread.h"
#include "numa/assert.h"
#include "numa/clock.h"

enum { STEP_NS = 1000000, FIGURES_NS = 200000000, ERROR_BYTES = 512 };

enum action { ACTION_NONE, ACTION_BUILD, ACTION_PUBLISH };

// The service thread owns a part from the moment it is queued until its action is done; the state
// (release, acquire) says when. One that is discarded meanwhile, it tears down as well.
struct workload_part {
	struct workload_part *next;   // of the parts
	struct workload_part *queued; // behind it in the queue
	enum action action;           // NONE: only to be torn down
	bool busy, doomed;            // queued or being acted on; discarded. Under the lock
	_Atomic enum workload_state state;
	struct workload_request request; // a copy, on the part's heap
	struct heap heap;
	struct job *job;
	struct planned_job planned;
	struct engine *engine;
	struct crossing_network network; // to the other participants
	uint64_t plan_hash;
	const struct workload_cover *covers; // by participant; NULL: nothing is replicated
	uint32_t *lost, lost_count;          // participants
	bool owed; // output that was taken over behind the publishing, or while it went on
	struct report report;
	struct heap figures; // the report's
	int64_t figures_at_ns;
	char error[ERROR_BYTES];
};

struct workload_engine {
	struct workload workload; // first: the interface
	struct workload_engine_config config;
	struct workload_part *parts;
	uint64_t progress;
	uint64_t *rounds; // by worker, when the progress was noted
	pthread_t thread;
	bool stop;
	struct workload_part *first, **last; // the queue
	pthread_mutex_t lock;
	pthread_cond_t change;
};

static struct workload_engine *engine_of(struct workload *workload)
{
	return (struct workload_engine *)workload;
}

static void set_state(struct workload_part *part, enum workload_state state)
{
	atomic_store_explicit(&part->state, state, memory_order_release);
}

static enum workload_state state_of(const struct workload_part *part)
{
	return atomic_load_explicit(&part->state, memory_order_acquire);
}

static void fail(struct workload_part *part, const char *why)
{
	if (why != part->error)
		snprintf(part->error, sizeof(part->error), "%s", why);
	set_state(part, WORKLOAD_FAILED);
}

// ---- on the service thread ----

static int load(const struct workload_engine *w, struct workload_part *part)
{
	const struct workload_request *request = &part->request;
	const struct job_source source = {.file = request->job,
		.text = request->text,
		.bytes = request->text_bytes,
		.sets = (const char **)(uintptr_t)request->sets,
		.set_count = request->set_count,
		.kinds = w->config.kinds};
	part->job = calloc(1, sizeof(*part->job));
	if (part->job == NULL)
		return -ENOMEM;
	job_load(part->job, &source);
	return part->job->errors.count == 0 ? 0 : -EINVAL;
}

static int plan(struct workload_part *part)
{
	const struct workload_request *request = &part->request;
	const struct workload_participant *last =
		&request->participants[request->participant_count - 1];
	uint32_t workers = last->first_worker + last->workers;
	int error = planner_plan(part->job, workers, &part->planned);
	if (error != 0)
		return error;
	part->planned.plan.id = (uint32_t)XXH3_64bits(request->job, strlen(request->job));
	part->planned.plan.version = request->plan_version;
	spread_tasks(&part->planned, &part->job->heap, workers);
	if (job_recovery(part->job) != NULL)
		error = replicas_plan(part->job, &part->planned, request->participants,
			request->participant_count);
	if (error != 0)
		return error;
	if (part->planned.plan.hot)
		part->covers = replicas_cover(&part->planned.plan, &part->job->heap,
			request->participants, request->participant_count);
	part->plan_hash = spread_plan_hash(&part->planned.plan);
	return 0;
}

static void say_errors(struct workload_part *part)
{
	const struct error_line *line = &part->job->errors.lines[0];
	snprintf(part->error, sizeof(part->error), "%s:%u: %s", line->file, line->line, line->text);
	fail(part, part->error);
}

static int reach(struct workload_engine *w, struct workload_part *part,
	const struct workload_participant *p, uint16_t *workers, uint32_t *peers)
{
	bool self = p == &part->request.participants[part->request.self];
	char why[240];
	int error = 0;
	for (uint32_t i = 0; i < p->workers && error == 0; i++) {
		uint32_t worker = p->first_worker + i;
		workers[worker] = (uint16_t)(p->node_worker + i);
		if (!self)
			error = network_reach(w->config.network, p->links, p->link_count,
				workers[worker], &peers[worker], why, sizeof(why));
	}
	if (error != 0)
		snprintf(part->error, sizeof(part->error), "node %.64s: %s", p->node, why);
	return error;
}

// What comes from other nodes must find room, as far as credit lets it come.
static int check_buffers(const struct workload_engine *w, struct workload_part *part)
{
	const struct job_plan *job = &part->planned.plan;
	const struct workload_participant *self = &part->request.participants[part->request.self];
	uint64_t needed = 0;
	for (uint32_t c = 0; c < job->channel_count; c++) {
		uint32_t from = job->tasks[job->channels[c].from].worker;
		uint32_t to = job->tasks[job->channels[c].to].worker;
		if (to - self->first_worker < self->workers &&
			from - self->first_worker >= self->workers)
			needed += job->channel_frames + CHANNEL_CONTROL_FRAMES;
	}
	if (needed <= network_buffers(w->config.network))
		return 0;
	snprintf(part->error, sizeof(part->error),
		"channels from other nodes may hold %" PRIu64 " packets here, and a link has room "
		"for %" PRIu32 "; raise links.buffers to that, or lower exchange.credit",
		needed, network_buffers(w->config.network));
	return -ENOBUFS;
}

// How the participants' workers reach each other.
static int connect(struct workload_engine *w, struct workload_part *part)
{
	const struct workload_request *request = &part->request;
	uint32_t workers = part->planned.plan.worker_count;
	uint16_t *numbers = heap_alloc(&part->heap, workers * sizeof(*numbers));
	uint32_t *peers = heap_alloc(&part->heap, workers * sizeof(*peers));
	uint64_t *boots = heap_alloc(&part->heap, workers * sizeof(*boots));
	if (w->config.network == NULL || workers > NETWORK_WORKERS_MAX) {
		snprintf(part->error, sizeof(part->error),
			w->config.network == NULL
				? "the node has no links to other nodes; give it `links:`"
				: "over %d workers; give the job fewer",
			NETWORK_WORKERS_MAX);
		return -EINVAL;
	}
	if (part->planned.plan.recovery) {
		snprintf(part->error, sizeof(part->error),
			"checkpoint: barriers are not coordinated between nodes yet; leave the "
			"section out, or give the job the workers of one node");
		return -ENOTSUP;
	}
	int error = check_buffers(w, part);
	for (uint32_t i = 0; i < request->participant_count && error == 0; i++)
		error = reach(w, part, &request->participants[i], numbers, peers);
	network_describe(w->config.network, &part->network);
	for (uint32_t i = 0; i < workers; i++)
		boots[i] = request->incarnation;
	part->network.boots = boots;
	part->network.workers = numbers;
	part->network.peers = peers;
	return error;
}

static void build(struct workload_engine *w, struct workload_part *part)
{
	bool apart = part->request.participant_count > 1;
	int error = load(w, part);
	if (error == 0)
		error = plan(part);
	if (error == 0 && apart)
		error = connect(w, part);
	if (part->job != NULL && part->job->errors.count != 0) {
		say_errors(part);
		return;
	}
	if (error != 0) {
		fail(part, part->error[0] != 0 ? part->error : strerror(-error));
		return;
	}
	const struct workload_participant *self = &part->request.participants[part->request.self];
	const struct engine_config config = {.plan = &part->planned.plan,
		.node = w->config.node,
		.node_worker = self->node_worker,
		.network = apart ? &part->network : NULL,
		.first_worker = self->first_worker,
		.worker_count = self->workers,
		.worker_cpus = w->config.worker_cpus + self->node_worker,
		.worker_nodes = w->config.worker_nodes == NULL
			? NULL
			: w->config.worker_nodes + self->node_worker,
		.incarnation = part->request.incarnation};
	if (engine_create(&config, part->error, sizeof(part->error), &part->engine) != 0)
		fail(part, part->error);
	else
		set_state(part, WORKLOAD_PREPARED);
}

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

static void act(struct workload_engine *w, struct workload_part *part)
{
	if (part->action == ACTION_BUILD)
		build(w, part);
	else if (part->action == ACTION_PUBLISH)
		publish(part);
	pthread_mutex_lock(&w->lock);
	bool doomed = part->doomed;
	part->busy = false;
	pthread_mutex_unlock(&w->lock);
	if (doomed)
		tear_down(part);
}

// The next part with something to do.  Returns NULL when it is time to stop and nothing is left.
static struct workload_part *take(struct workload_engine *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->first == NULL && !w->stop)
		pthread_cond_wait(&w->change, &w->lock);
	struct workload_part *part = w->first;
	if (part != NULL) {
		w->first = part->queued;
		if (w->first == NULL)
			w->last = &w->first;
	}
	pthread_mutex_unlock(&w->lock);
	return part;
}

static void *serve(void *argument)
{
	struct workload_engine *w = argument;
	struct workload_part *part;
	pthread_setname_np(pthread_self(), "weir-builder");
	while ((part = take(w)) != NULL)
		act(w, part);
	return NULL;
}

// ---- on the control plane's loop ----

static void enqueue_locked(struct workload_engine *w, struct workload_part *part,
	enum action action)
{
	part->action = action;
	part->busy = true;
	part->queued = NULL;
	*w->last = part;
	w->last = &part->queued;
	pthread_cond_signal(&w->change);
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

static const char *keep_text(struct heap *heap, const char *text)
{
	return heap_text(heap, text, strlen(text));
}

static const char *const *keep_texts(struct heap *heap, const char *const *texts, uint32_t count)
{
	const char **kept = heap_alloc(heap, (count + 1) * sizeof(*kept));
	for (uint32_t i = 0; i < count; i++)
		kept[i] = keep_text(heap, texts[i]);
	return kept;
}

static void keep_request(struct workload_part *part, const struct workload_request *request)
{
	struct heap *heap = &part->heap;
	struct workload_participant *participants =
		heap_alloc(heap, request->participant_count * sizeof(*participants));
	for (uint32_t i = 0; i < request->participant_count; i++) {
		const struct workload_participant *p = &request->participants[i];
		participants[i] = *p;
		participants[i].node = keep_text(heap, p->node);
		participants[i].host = p->host == NULL ? NULL : keep_text(heap, p->host);
		participants[i].rack = p->rack == NULL ? NULL : keep_text(heap, p->rack);
		participants[i].links = keep_texts(heap, p->links, p->link_count);
	}
	part->request = *request;
	part->request.job = keep_text(heap, request->job);
	part->request.text = heap_text(heap, request->text, request->text_bytes);
	part->request.sets = keep_texts(heap, request->sets, request->set_count);
	part->request.participants = participants;
	part->lost = heap_alloc(heap, request->participant_count * sizeof(*part->lost));
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
	keep_request(part, request);
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
	const struct workload_participant *p = &part->request.participants[lost];
	bool known = false;
	if (state < WORKLOAD_PREPARED || state > WORKLOAD_PUBLISHED)
		return;
	engine_lose(part->engine, p->first_worker, p->workers, successor, alone);
	for (uint32_t i = 0; i < part->lost_count; i++)
		known |= part->lost[i] == lost;
	if (known)
		return;
	part->lost[part->lost_count++] = lost;
	part->owed |= state >= WORKLOAD_PUBLISHING;
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
		.error = state == WORKLOAD_FAILED ? part->error : NULL,
		.plan_hash = state >= WORKLOAD_PREPARED ? part->plan_hash : 0,
		.progress = w->progress,
		.seconds = part->report.seconds,
		.operator_count = part->report.operator_count,
		.operators = part->report.operators,
		.lost_count = part->lost_count,
		.lost = part->lost};
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
	if (state_of(part) != WORKLOAD_RUNNING)
		return;
	enum engine_state state = engine_poll(part->engine);
	if (state != ENGINE_RUNNING ||
		(now_ns - part->figures_at_ns >= FIGURES_NS && engine_refresh(part->engine)))
		collect(part, now_ns);
	if (state == ENGINE_FAILED)
		fail(part, engine_error(part->engine));
	else if (state != ENGINE_RUNNING)
		set_state(part,
			state == ENGINE_FINISHED ? WORKLOAD_FINISHED : WORKLOAD_INTERRUPTED);
}

// Progress is made when every worker has gone round since the last.
static void note_progress(struct workload_engine *w)
{
	for (uint32_t i = 0; i < w->config.worker_count; i++)
		if (node_rounds(w->config.node, i) == w->rounds[i])
			return;
	for (uint32_t i = 0; i < w->config.worker_count; i++)
		w->rounds[i] = node_rounds(w->config.node, i);
	w->progress++;
}

static int64_t engine_step(struct workload *workload, int64_t now_ns)
{
	struct workload_engine *w = engine_of(workload);
	note_progress(w);
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
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->change);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->change);
	pthread_mutex_destroy(&w->lock);
	free(w->rounds);
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
};

int workload_engine_create(const struct workload_engine_config *config,
	struct workload **ret_workload)
{
	struct workload_engine *w = calloc(1, sizeof(*w));
	uint64_t *rounds = calloc(config->worker_count, sizeof(*rounds));
	if (w == NULL || rounds == NULL)
		goto err_memory;
	w->workload.ops = &ops;
	w->config = *config;
	w->rounds = rounds;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->change, NULL);
	int error = pthread_create(&w->thread, NULL, serve, w);
	if (error == 0) {
		*ret_workload = &w->workload;
		return 0;
	}
	free(rounds);
	free(w);
	return -error;
err_memory:
	free(rounds);
	free(w);
	return -ENOMEM;
}
