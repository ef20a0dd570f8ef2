#include "dataplane/worker.h"

#include "dataplane/crossing.h"

// The task stood still from the first part of its snapshot to the last.
static void account_snapshot(struct worker_load *load, const struct task *t, int64_t elapsed)
{
	const struct task_snapshots *all = &t->snapshots;
	load->pause_ns += elapsed;
	if (!t->snapshot_taken)
		return;
	if (load->pause_ns > load->pause_ns_max)
		load->pause_ns_max = load->pause_ns;
	load->pause_ns = 0;
	if (all->kept[all->latest].bytes > load->snapshot_bytes_max)
		load->snapshot_bytes_max = all->kept[all->latest].bytes;
}

// The time since the last step is what that step took; tasks that worked share it by work done.
static void account(struct worker *w, int64_t now_ns)
{
	if (w->ended_ns != 0)
		return;
	int64_t elapsed = w->last_ns == 0 ? 0 : now_ns - w->last_ns;
	uint64_t total = 0;
	w->last_ns = now_ns;
	for (uint32_t i = 0; i < w->task_count; i++)
		total += w->work[i];
	for (uint32_t i = 0; i < w->task_count; i++) {
		struct worker_load *load = &w->loads[i];
		if (w->work[i] != 0)
			load->busy_ns += (int64_t)((uint64_t)elapsed * w->work[i] / total);
		else if (w->tasks[i]->blocked)
			load->blocked_ns += elapsed;
		if (w->tasks[i]->stalled)
			load->awaiting_ns += elapsed;
		if (w->tasks[i]->snapshot_taken || w->tasks[i]->writing.under_way)
			account_snapshot(load, w->tasks[i], elapsed);
	}
}

// Finished tasks are stepped on, for others may ask them for items again.
static void note_end(struct worker *w, int64_t now_ns)
{
	if (w->running != 0 || w->ended_ns != 0)
		return;
	if (w->crossing != NULL && !crossing_is_idle(w->crossing))
		return;
	for (uint32_t i = 0; i < w->task_count; i++)
		if (!task_has_sent(w->tasks[i]))
			return;
	w->ended_ns = now_ns;
	atomic_store_explicit(&w->done, true, memory_order_release);
}

static void show_task(struct task *t)
{
	t->event_time_shown = task_event_time(t);
	for (uint32_t i = 0; i < t->link_count; i++) {
		t->links[i].shown = t->links[i].counters;
		t->links[i].shown_packed = t->links[i].emits_packed;
	}
}

static void give_figures(struct worker *w)
{
	uint32_t wanted = atomic_load_explicit(&w->figures_wanted, memory_order_acquire);
	if (wanted == atomic_load_explicit(&w->figures_given, memory_order_relaxed))
		return;
	for (uint32_t i = 0; i < w->task_count; i++) {
		show_task(w->tasks[i]);
		w->loads_shown[i] = w->loads[i];
	}
	atomic_store_explicit(&w->figures_given, wanted, memory_order_release);
}

void worker_ask_figures(struct worker *w)
{
	atomic_fetch_add_explicit(&w->figures_wanted, 1, memory_order_release);
}

bool worker_figures_ready(const struct worker *w)
{
	return atomic_load_explicit(&w->figures_given, memory_order_acquire) ==
		atomic_load_explicit(&w->figures_wanted, memory_order_relaxed);
}

uint32_t worker_step(struct worker *w, int64_t now_ns)
{
	uint32_t total = 0, running = 0;
	bool awaits = false;
	account(w, now_ns);
	// Before any task acts on a loss: by the time that a successor's frames are obeyed, nothing
	// is heard of the lost any more, nor sent to them (docs/protocol.md, rule G6).
	if (w->losses != NULL)
		worker_heed(w);
	note_end(w, now_ns);
	give_figures(w);
	for (uint32_t i = 0; i < w->task_count; i++) {
		w->work[i] = task_step(w->tasks[i], now_ns);
		total += w->work[i];
		running += w->tasks[i]->outcome == TASK_RUNNING;
		awaits |= task_awaits_commit(w->tasks[i]);
	}
	w->running = running;
	if (awaits)
		checkpoint_drive(w->checkpoint, now_ns);
	return total;
}

int64_t worker_deadline(const struct worker *w)
{
	int64_t earliest = INT64_MAX;
	for (uint32_t i = 0; i < w->task_count; i++) {
		const struct task *t = w->tasks[i];
		if (t->outcome == TASK_RUNNING && t->idle_source && t->deadline_ns < earliest)
			earliest = t->deadline_ns;
	}
	return earliest;
}
