// Places on other nodes that are lost, and held by another node since: what a worker does about
// them, for all its tasks and channels in one step.
#include "dataplane/crossing.h"
#include "dataplane/worker.h"
#include "numa/assert.h"

static bool is_lost(const struct heeded *h)
{
	return h->losses != h->admitted || h->given_up;
}

// That it may do without now is no news of a loss.
static void take_note(struct told_losses *told, uint32_t of, uint64_t incarnation, bool alone)
{
	if (!told_losses_have(told, of, incarnation))
		told->of[of] = (struct told_loss){incarnation, alone ? 0 : ++told->count};
}

// The session goes first: by the time that a successor's frames are obeyed, nothing is heard of the
// lost any more, nor sent to them (docs/protocol.md, rule G6).
static void lose(struct worker *w, uint32_t of)
{
	const struct loss *told = &w->losses->of[of];
	uint64_t incarnation = atomic_load_explicit(&told->incarnation, memory_order_acquire);
	bool alone = atomic_load_explicit(&told->alone, memory_order_acquire);
	crossing_lose(w->crossing, of);
	alone = alone || w->heeded[of].given_up;
	take_note(&w->told, of, incarnation, alone);
	for (uint32_t i = 0; i < w->task_count; i++)
		task_lose(w->tasks[i], of, incarnation, alone);
}

static bool may_admit(const struct worker *w, uint32_t of)
{
	for (uint32_t i = 0; i < w->task_count; i++)
		if (!task_may_admit(w->tasks[i], of))
			return false;
	return true;
}

static void admit(struct worker *w, uint32_t of)
{
	const struct loss *told = &w->losses->of[of];
	struct heeded *h = &w->heeded[of];
	const struct crossing_way way = {
		.boot = atomic_load_explicit(&told->boot, memory_order_relaxed),
		.peer = atomic_load_explicit(&told->peer, memory_order_acquire),
		.number = atomic_load_explicit(&told->number, memory_order_relaxed)};
	crossing_admit(w->crossing, of, &way);
	for (uint32_t i = 0; i < w->task_count; i++)
		task_admit(w->tasks[i], of, way.boot);
	h->admitted = h->losses;
	h->fed = h->given_up = false;
	atomic_store_explicit(&h->failure, NULL, memory_order_relaxed);
	atomic_store_explicit(&h->admitted_shown, h->admitted,
		memory_order_release); // pairs engine_has_admitted
}

static void feed(struct worker *w, uint32_t of)
{
	w->heeded[of].fed = true;
	for (uint32_t i = 0; i < w->task_count; i++)
		task_feed(w->tasks[i], of);
}

// The job is not to wait for what only a new replica needs: until all is whole it can do without.
static void give_up(struct worker *w, uint32_t of, const char *why)
{
	struct heeded *h = &w->heeded[of];
	h->given_up = true;
	atomic_store_explicit(&h->failure, why, memory_order_release); // pairs engine_repair_error
	lose(w, of);
}

// How far the repair has come.  Returns whether it is to be looked after further.
static bool look_after(struct worker *w, uint32_t of)
{
	struct heeded *h = &w->heeded[of];
	bool repaired = h->fed;
	if (atomic_load_explicit(&h->repaired_shown, memory_order_relaxed) == h->admitted)
		return false;
	for (uint32_t i = 0; i < w->task_count; i++) {
		const char *why = task_repair_failure(w->tasks[i], of);
		if (why != NULL) {
			give_up(w, of, why);
			return false;
		}
		repaired = repaired && task_is_repaired(w->tasks[i], of);
	}
	if (!repaired)
		return true;
	crossing_joined(w->crossing, of);
	atomic_store_explicit(&h->repaired_shown, h->admitted,
		memory_order_release); // pairs engine_has_repaired
	return false;
}

// Admissions are read first, so that none is taken for one of a loss not seen yet; one that a
// worker had no time for before the next loss is passed over.  Returns whether something is left to
// do.
static bool heed(struct worker *w, uint32_t of, bool news)
{
	const struct loss *told = &w->losses->of[of];
	struct heeded *h = &w->heeded[of];
	uint32_t admissions = atomic_load_explicit(&told->admissions, memory_order_acquire);
	uint32_t losses = atomic_load_explicit(&told->losses, memory_order_acquire);
	if (losses != h->losses) {
		h->losses = losses;
		news = true;
	}
	if (is_lost(h) && news)
		lose(w, of);
	if (h->losses != h->admitted) {
		if (admissions != h->losses)
			return false;
		if (!may_admit(w, of))
			return true;
		admit(w, of);
	}
	if (h->admitted == 0 || h->given_up)
		return false;
	if (!h->fed && atomic_load_explicit(&told->feeds, memory_order_acquire) == h->admitted)
		feed(w, of);
	return look_after(w, of);
}

void worker_heed(struct worker *w)
{
	uint32_t count = atomic_load_explicit(&w->losses->count, memory_order_acquire);
	bool news = count != w->losses_seen;
	if (!news && !w->heeds)
		return;
	w->losses_seen = count;
	w->heeds = false;
	for (uint32_t of = 0; of < w->losses->workers; of++)
		w->heeds |= heed(w, of, news);
}
