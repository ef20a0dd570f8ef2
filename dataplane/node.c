#include "dataplane/node.h"

#include <errno.h>
#include <pthread.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/crossing.h"
#include "numa/arena.h"
#include "numa/clock.h"
#include "numa/pin.h"

enum { SLEEP_NS = 50000, JOBLESS_NS = 1000000, DETACH_POLL_NS = 20000 };

struct node_worker {
	struct node *node;
	uint32_t index;
	int cpu;
	pthread_t thread;
	bool started;
	int64_t last_ns; // of the last round; 0: none yet
	struct node_gap *gaps;
	uint64_t gap_count;
	struct transport *transport; // NULL: no other nodes
	uint32_t share_count;
	struct worker *shares[NODE_SHARES_MAX]; // what the thread steps
	// agent: write the slots, then the count of changes (release); worker: read (acquire).
	alignas(64) struct worker *wanted[NODE_SHARES_MAX];
	atomic_uint changes;
	// worker: write (release) once it has taken them over; agent: read (acquire).
	alignas(64) atomic_uint taken;
	atomic_uint_fast64_t rounds; // worker: write; agent: read (relaxed, it only grows)
	atomic_int tid;              // worker: write once; agent: read (relaxed, a name)
};

struct node {
	struct node_config config;
	struct arena arena;
	struct node_worker *workers;
	alignas(64) atomic_bool stop; // agent: write (release); workers: read (acquire)
};

static void note_gap(struct node_worker *w, int64_t now_ns)
{
	int64_t last_ns = w->last_ns;
	w->last_ns = now_ns;
	if (w->gaps == NULL || last_ns == 0 || now_ns - last_ns <= NODE_GAP_NS)
		return;
	if (w->gap_count < NODE_GAPS_MAX)
		w->gaps[w->gap_count] = (struct node_gap){last_ns, now_ns};
	w->gap_count++;
}

static void note_round(struct node_worker *w)
{
	uint64_t rounds = atomic_load_explicit(&w->rounds, memory_order_relaxed);
	atomic_store_explicit(&w->rounds, rounds + 1, memory_order_relaxed);
}

// Nothing to do: how to pass the time is the user's choice.
static void wait_idle(enum node_wait wait, int64_t now_ns, int64_t deadline_ns, int64_t most_ns)
{
	if (wait == NODE_WAIT_SPIN) {
		rte_pause();
	} else if (wait == NODE_WAIT_YIELD) {
		sched_yield();
	} else {
		int64_t left = deadline_ns - now_ns;
		struct timespec time = {0, left < most_ns ? (left > 0 ? left : 0) : most_ns};
		nanosleep(&time, NULL);
	}
}

static bool is_among(struct worker *const *shares, uint32_t count, const struct worker *share)
{
	for (uint32_t i = 0; i < count; i++)
		if (shares[i] == share)
			return true;
	return false;
}

static void leave_unwanted(struct node_worker *w)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < w->share_count; i++) {
		struct worker *share = w->shares[i];
		if (is_among(w->wanted, NODE_SHARES_MAX, share))
			w->shares[kept++] = share;
		else if (share->crossing != NULL)
			crossing_leave(share->crossing, w->transport);
	}
	w->share_count = kept;
}

static void enter(struct node_worker *w, struct worker *share)
{
	if (share == NULL || is_among(w->shares, w->share_count, share))
		return;
	w->shares[w->share_count++] = share;
	if (share->crossing != NULL)
		crossing_enter(share->crossing, w->transport);
}

// Shares that came or went. The slots stand still until `taken` says that they were read.
static void take_changes(struct node_worker *w)
{
	uint32_t changes = atomic_load_explicit(&w->changes, memory_order_acquire);
	if (changes == atomic_load_explicit(&w->taken, memory_order_relaxed))
		return;
	leave_unwanted(w);
	for (uint32_t i = 0; i < NODE_SHARES_MAX; i++)
		enter(w, w->wanted[i]);
	atomic_store_explicit(&w->taken, changes, memory_order_release);
}

static uint32_t step(struct node_worker *w, int64_t now_ns)
{
	uint32_t work = 0;
	for (uint32_t i = 0; i < w->share_count; i++)
		work += worker_step(w->shares[i], now_ns);
	if (w->transport != NULL)
		work += transport_step(w->transport, now_ns);
	return work;
}

static int64_t deadline(const struct node_worker *w)
{
	int64_t earliest = w->transport == NULL ? INT64_MAX : transport_deadline(w->transport);
	for (uint32_t i = 0; i < w->share_count; i++) {
		int64_t one = worker_deadline(w->shares[i]);
		earliest = one < earliest ? one : earliest;
	}
	return earliest;
}

uint32_t node_round(struct node *node, uint32_t worker, int64_t now_ns)
{
	struct node_worker *w = &node->workers[worker];
	note_gap(w, now_ns);
	note_round(w);
	take_changes(w);
	return step(w, now_ns);
}

int64_t node_now_ns(const struct node *node)
{
	return node->config.clock();
}

static void loop(struct node_worker *w)
{
	struct node *node = w->node;
	while (!atomic_load_explicit(&node->stop, memory_order_acquire)) {
		int64_t now_ns = node_now_ns(node);
		if (node_round(node, w->index, now_ns) == 0)
			wait_idle(node->config.wait, now_ns, deadline(w),
				w->share_count == 0 ? JOBLESS_NS : SLEEP_NS);
	}
}

// EAL keeps its own lock over the table of its threads, but the workers must also be ordered by one
// that can be seen from here: a slot that one worker gives back is the next one's.
static pthread_mutex_t eal_threads = PTHREAD_MUTEX_INITIALIZER;

static bool join_eal(void)
{
	pthread_mutex_lock(&eal_threads);
	bool registered = rte_thread_register() == 0;
	pthread_mutex_unlock(&eal_threads);
	return registered;
}

static void leave_eal(void)
{
	pthread_mutex_lock(&eal_threads);
	rte_thread_unregister();
	pthread_mutex_unlock(&eal_threads);
}

static void *worker_main(void *argument)
{
	struct node_worker *w = argument;
	const struct node_config *config = &w->node->config;
	char name[16];
	snprintf(name, sizeof(name), "weir-worker-%u", w->index);
	pthread_setname_np(pthread_self(), name); // for top -H and the like
	atomic_store_explicit(&w->tid, gettid(), memory_order_relaxed);
	pin_thread((unsigned)w->cpu);
	bool registered = join_eal();
	if (config->on_worker != NULL)
		config->on_worker(config->on_worker_argument);
	loop(w);
	if (registered)
		leave_eal();
	return NULL;
}

static int fill(struct node *node)
{
	const struct node_config *config = &node->config;
	size_t gaps = config->watch_gaps ? NODE_GAPS_MAX * sizeof(struct node_gap) : 0;
	size_t bytes = config->worker_count * (sizeof(struct node_worker) + gaps + 128);
	if (arena_create(&node->arena, bytes, -1, false) != 0)
		return -ENOMEM;
	node->workers =
		arena_alloc(&node->arena, config->worker_count * sizeof(*node->workers), 64);
	for (uint32_t i = 0; i < config->worker_count; i++) {
		struct node_worker *w = &node->workers[i];
		w->node = node;
		w->index = i;
		w->cpu = config->worker_cpus[i];
		w->transport = config->transports == NULL ? NULL : &config->transports[i];
		if (gaps != 0)
			w->gaps = arena_alloc(&node->arena, gaps, 64);
	}
	return 0;
}

int node_create(const struct node_config *config, struct node **ret_node)
{
	struct node *node = aligned_alloc(64, (sizeof(*node) + 63) & ~(size_t)63);
	if (node == NULL)
		return -ENOMEM;
	memset(node, 0, sizeof(*node));
	node->config = *config;
	if (config->clock == NULL)
		node->config.clock = clock_now_ns;
	int error = fill(node);
	node->config.worker_cpus = NULL; // the caller's; each worker has its own
	if (error == 0)
		*ret_node = node;
	else
		node_destroy(node);
	return error;
}

int node_start(struct node *node)
{
	for (uint32_t i = 0; i < node->config.worker_count; i++) {
		struct node_worker *w = &node->workers[i];
		int error = pthread_create(&w->thread, NULL, worker_main, w);
		if (error != 0) {
			node_stop(node);
			return -error;
		}
		w->started = true;
	}
	return 0;
}

void node_stop(struct node *node)
{
	if (node == NULL || node->workers == NULL)
		return;
	atomic_store_explicit(&node->stop, true, memory_order_release);
	for (uint32_t i = 0; i < node->config.worker_count; i++) {
		if (node->workers[i].started)
			pthread_join(node->workers[i].thread, NULL);
		node->workers[i].started = false;
	}
}

void node_destroy(struct node *node)
{
	if (node == NULL)
		return;
	node_stop(node);
	arena_destroy(&node->arena);
	free(node);
}

static bool all_taken(struct node_worker *w)
{
	return atomic_load_explicit(&w->taken, memory_order_acquire) ==
		atomic_load_explicit(&w->changes, memory_order_relaxed);
}

// The slots may be written once the worker has read them; where no thread is it, the caller is.
static void wait_taken(struct node_worker *w)
{
	static const struct timespec time = {0, DETACH_POLL_NS};
	while (w->started && !all_taken(w))
		nanosleep(&time, NULL);
	if (!w->started)
		take_changes(w);
}

static int replace(struct node_worker *w, struct worker *old, struct worker *new)
{
	uint32_t slot = 0;
	wait_taken(w);
	while (slot < NODE_SHARES_MAX && w->wanted[slot] != old)
		slot++;
	if (slot == NODE_SHARES_MAX)
		return -ENOSPC;
	w->wanted[slot] = new;
	atomic_fetch_add_explicit(&w->changes, 1, memory_order_release);
	return 0;
}

int node_attach(struct node *node, uint32_t worker, struct worker *share)
{
	return replace(&node->workers[worker], NULL, share);
}

void node_detach(struct node *node, uint32_t worker, struct worker *share)
{
	struct node_worker *w = &node->workers[worker];
	if (replace(w, share, NULL) == 0)
		wait_taken(w);
}

uint64_t node_rounds(const struct node *node, uint32_t worker)
{
	return atomic_load_explicit(&node->workers[worker].rounds, memory_order_relaxed);
}

int node_thread(const struct node *node, uint32_t worker)
{
	return atomic_load_explicit(&node->workers[worker].tid, memory_order_relaxed);
}

uint64_t node_gaps(const struct node *node, uint32_t worker, const struct node_gap **ret_gaps)
{
	*ret_gaps = node->workers[worker].gaps;
	return node->workers[worker].gap_count;
}
