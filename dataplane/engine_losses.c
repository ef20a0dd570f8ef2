// What the agent tells the workers of a job of places on other nodes that are lost, or held by
// another node since, and what they say of it.
#include "dataplane/engine_parts.h"
#include "numa/assert.h"

uint64_t engine_losses_bytes(const struct engine *e)
{
	const struct job_plan *plan = e->config.plan;
	return (plan->worker_count + 1) *
		(sizeof(struct loss) +
			(e->worker_count + 1) *
				(sizeof(struct heeded) + sizeof(struct told_loss) + 128)) +
		(plan->task_count + 1) * sizeof(*e->counts) + 4096;
}

void engine_create_losses(struct engine *e)
{
	const struct job_plan *plan = e->config.plan;
	struct losses *losses = &e->control.losses;
	losses->workers = plan->worker_count;
	losses->of = arena_alloc(&e->tables, (plan->worker_count + 1) * sizeof(*losses->of), 64);
	e->counts = arena_alloc(&e->tables, (plan->task_count + 1) * sizeof(*e->counts), 64);
	VERIFY(losses->of != NULL && e->counts != NULL);
	for (uint32_t t = 0; t < plan->task_count; t++)
		atomic_init(&e->counts[t],
			plan->tasks[t].standing != PLAN_REPLICA && !e->config.repair);
	for (uint32_t w = 0; w < e->worker_count; w++) {
		struct worker *worker = &e->workers[w].worker;
		worker->heeded = arena_alloc(&e->tables,
			(plan->worker_count + 1) * sizeof(*worker->heeded), 64);
		worker->told = (struct told_losses){.workers = plan->worker_count,
			.of = arena_alloc(&e->tables,
				(plan->worker_count + 1) * sizeof(struct told_loss), 64)};
		VERIFY(worker->heeded != NULL && worker->told.of != NULL);
		worker->losses = e->config.network != NULL || plan->hot ? losses : NULL;
	}
}

// ---- telling

static uint32_t read_count(const _Atomic uint32_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed); // the agent's own
}

static bool is_lost(const struct loss *l)
{
	return read_count(&l->losses) != read_count(&l->admissions);
}

static void lose(struct loss *l, uint64_t incarnation, bool alone)
{
	bool again = is_lost(l);
	atomic_store_explicit(&l->incarnation, incarnation, memory_order_release);
	if (alone || !again)
		atomic_store_explicit(&l->alone, alone, memory_order_release);
	if (!again)
		atomic_fetch_add_explicit(&l->losses, 1, memory_order_release); // pairs worker_heed
}

static void take_note_of_takeovers(struct engine *e, uint32_t first, uint32_t count)
{
	const struct job_plan *plan = e->config.plan;
	for (uint32_t t = 0; t < e->task_count; t++)
		if (engine_owns(e, t) && plan->tasks[t].standing != PLAN_SINGLE &&
			plan->tasks[plan->tasks[t].twin].worker - first < count)
			atomic_store_explicit(&e->counts[t], true, memory_order_relaxed);
}

static void tell(struct engine *e)
{
	atomic_fetch_add_explicit(&e->control.losses.count, 1,
		memory_order_release); // pairs worker_heed
}

void engine_lose(struct engine *e, uint32_t first, uint32_t count, uint64_t incarnation, bool alone)
{
	struct losses *losses = &e->control.losses;
	for (uint32_t w = first; w < first + count && w < losses->workers; w++)
		lose(&losses->of[w], incarnation, alone);
	take_note_of_takeovers(e, first, count);
	tell(e);
}

// A worker that reads a part of the way of one admission and a part of the next one's begins anew
// once it sees the loss between. What it reads of the next one's is to find the peer in the link's
// tables, too, which that was added to just before.
static void admit(struct engine *e, uint32_t worker)
{
	const struct crossing_network *n = e->config.network;
	struct loss *l = &e->control.losses.of[worker];
	uint64_t boot = crossing_boot(n, e->config.first_worker, worker);
	atomic_store_explicit(&l->boot, boot, memory_order_relaxed);
	atomic_store_explicit(&l->peer, n->peers[worker], memory_order_release); // pairs admit
	atomic_store_explicit(&l->number, n->workers[worker], memory_order_relaxed);
	atomic_store_explicit(&l->admissions, read_count(&l->losses),
		memory_order_release); // pairs worker_heed
}

void engine_admit(struct engine *e, uint32_t first, uint32_t count)
{
	struct losses *losses = &e->control.losses;
	VERIFY(e->config.network != NULL);
	for (uint32_t w = first; w < first + count && w < losses->workers; w++)
		if (is_lost(&losses->of[w]))
			admit(e, w);
	tell(e);
}

void engine_feed(struct engine *e, uint32_t first, uint32_t count)
{
	struct losses *losses = &e->control.losses;
	for (uint32_t w = first; w < first + count && w < losses->workers; w++)
		if (!is_lost(&losses->of[w]))
			atomic_store_explicit(&losses->of[w].feeds,
				read_count(&losses->of[w].admissions), memory_order_release);
	tell(e);
}

// ---- what came of it

// Has every worker here shown the admission that holds now?
static bool have_shown(const struct engine *e, uint32_t first, uint32_t count, bool repaired)
{
	for (uint32_t of = first; of < first + count; of++) {
		const struct loss *l = &e->control.losses.of[of];
		for (uint32_t w = 0; w < e->worker_count; w++) {
			const struct heeded *h = &e->workers[w].worker.heeded[of];
			uint32_t shown = atomic_load_explicit(repaired ? &h->repaired_shown
								       : &h->admitted_shown,
				memory_order_acquire);
			if (is_lost(l) || shown != read_count(&l->admissions))
				return false;
		}
	}
	return true;
}

bool engine_has_admitted(const struct engine *e, uint32_t first, uint32_t count)
{
	return have_shown(e, first, count, false);
}

bool engine_has_repaired(const struct engine *e, uint32_t first, uint32_t count)
{
	return have_shown(e, first, count, true);
}

const char *engine_repair_error(const struct engine *e, uint32_t first, uint32_t count)
{
	for (uint32_t of = first; of < first + count && engine_has_admitted(e, first, count); of++)
		for (uint32_t w = 0; w < e->worker_count; w++) {
			const char *why =
				atomic_load_explicit(&e->workers[w].worker.heeded[of].failure,
					memory_order_acquire); // pairs give_up
			if (why != NULL)
				return why;
		}
	return NULL;
}
