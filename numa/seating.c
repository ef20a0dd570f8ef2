#include "numa/seating.h"

#include "numa/assert.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
	STEP_SAME_CORE = 1,
	STEP_SAME_L3 = 2,
	STEP_SAME_NODE = 4,
	STEP_OTHER_NODE = 8, // at the distance that is usual for the other socket,
	DISTANCE_USUAL = 20, // more where it is farther
	PASSES_MAX = 8,
	NOT_SEATED = -1,
};

enum { RANK_CORE, RANK_HOUSEKEEPING, RANK_SIBLING, RANK_HOUSEKEEPING_SIBLING, RANK_SHARED };

// How good a PU is for the worker that is next: compared field by field, in this order.
struct choice {
	unsigned rank;
	uint64_t cost;      // traffic to the workers seated and to NICs, times distance
	uint64_t misfit[2]; // of the node, of the L3: how badly its free cores fit what is to come
	uint64_t spread;    // distance to all workers seated
};

struct seating {
	const struct seating_problem *problem;
	const struct topology *topology;
	size_t *pu_of;
	bool *seated;
	unsigned *component; // of a worker: the lowest worker it is joined to by traffic
	size_t *peers_first; // of worker w: peers[peers_first[w]] up to peers_first[w + 1]
	unsigned *peers;
	uint64_t *pull;                   // of a worker: its traffic to the seated ones
	uint64_t *spread;                 // of a PU: its distance to all seated ones
	unsigned *pu_users, *core_users;  // workers on it, and other jobs
	unsigned *node_free, *cache_free; // cores without a worker, the housekeeping one left out
};

static uint64_t node_step(const struct topology *topology, int a, int b)
{
	uint64_t step = STEP_OTHER_NODE * topology_distance(topology, a, b) / DISTANCE_USUAL;
	return step > STEP_OTHER_NODE ? step : STEP_OTHER_NODE;
}

uint64_t seating_distance(const struct topology *topology, size_t pu_a, size_t pu_b)
{
	const struct topology_core *a = &topology->cores[topology->pus[pu_a].core];
	const struct topology_core *b = &topology->cores[topology->pus[pu_b].core];
	if (pu_a == pu_b)
		return 0;
	if (a == b || (a->l2 >= 0 && a->l2 == b->l2))
		return STEP_SAME_CORE;
	if (a->l3 >= 0 && a->l3 == b->l3)
		return STEP_SAME_L3;
	return a->node == b->node ? STEP_SAME_NODE : node_step(topology, a->node, b->node);
}

static uint64_t traffic_of(const struct seating *s, unsigned a, unsigned b)
{
	return s->problem->traffic[(size_t)a * s->problem->workers + b];
}

static uint64_t nic_cost(const struct seating *s, unsigned worker, size_t pu)
{
	const struct topology *t = s->topology;
	int near = t->cores[t->pus[pu].core].node;
	uint64_t cost = 0;
	for (size_t node = 0; node < t->node_count; node++)
		if ((int)node != near)
			cost += s->problem->nic[worker * t->node_count + node] *
				node_step(t, near, node);
	return cost;
}

static uint64_t nic_total(const struct seating *s, unsigned worker)
{
	uint64_t sum = 0;
	for (size_t node = 0; node < s->topology->node_count; node++)
		sum += s->problem->nic[worker * s->topology->node_count + node];
	return sum;
}

// What the worker's traffic would cost on this PU, leaving out what it has with `apart`.
static uint64_t cost_of(const struct seating *s, unsigned worker, size_t pu, unsigned apart)
{
	uint64_t cost = nic_cost(s, worker, pu);
	for (size_t i = s->peers_first[worker]; i < s->peers_first[worker + 1]; i++) {
		unsigned peer = s->peers[i];
		if (s->seated[peer] && peer != apart)
			cost += traffic_of(s, worker, peer) *
				seating_distance(s->topology, pu, s->pu_of[peer]);
	}
	return cost;
}

// With the CPUs given there is nothing to rank: all of them will be used.
static unsigned rank_of(const struct seating *s, size_t pu)
{
	size_t core = s->topology->pus[pu].core;
	bool housekeeping = core == s->topology->housekeeping;
	if (s->problem->cpus)
		return RANK_CORE;
	if (s->pu_users[pu])
		return RANK_SHARED + 2 * s->pu_users[pu] + housekeeping;
	if (s->core_users[core])
		return housekeeping ? RANK_HOUSEKEEPING_SIBLING : RANK_SIBLING;
	return housekeeping ? RANK_HOUSEKEEPING : RANK_CORE;
}

// The tightest fit is best, so that large domains stay whole for those who need them; where
// nothing fits, the roomiest is.
static uint64_t misfit(uint64_t free, uint64_t needed)
{
	return free >= needed ? free - needed : UINT32_MAX - free;
}

static struct choice weigh_pu(const struct seating *s, unsigned worker, size_t pu, unsigned needed)
{
	const struct topology_core *core = &s->topology->cores[s->topology->pus[pu].core];
	struct choice choice = {
		.rank = rank_of(s, pu),
		.cost = cost_of(s, worker, pu, worker),
		.spread = s->spread[pu],
	};
	if (core->node >= 0)
		choice.misfit[0] = misfit(s->node_free[core->node], needed);
	if (core->l3 >= 0)
		choice.misfit[1] = misfit(s->cache_free[core->l3], needed);
	return choice;
}

static int choice_compare(const struct choice *a, const struct choice *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->cost != b->cost)
		return a->cost < b->cost ? -1 : 1;
	if (a->misfit[0] != b->misfit[0])
		return a->misfit[0] < b->misfit[0] ? -1 : 1;
	if (a->misfit[1] != b->misfit[1])
		return a->misfit[1] < b->misfit[1] ? -1 : 1;
	return (a->spread > b->spread) - (a->spread < b->spread);
}

static bool is_given(const struct seating *s, size_t pu)
{
	for (unsigned i = 0; i < s->problem->workers; i++)
		if (s->problem->cpus[i] == pu)
			return true;
	return false;
}

// A core gives its first PU first; the housekeeping one its last, so that kernel and agent keep
// the first as long as they can.
static bool is_candidate(const struct seating *s, size_t pu)
{
	size_t index = s->topology->pus[pu].core;
	const struct topology_core *core = &s->topology->cores[index];
	if (s->problem->cpus)
		return !s->pu_users[pu];
	bool housekeeping = index == s->topology->housekeeping;
	size_t preferred = core->pu_first + (housekeeping ? core->pu_count - 1 : 0);
	return pu == preferred || s->core_users[index];
}

// Does the core count as free, while nobody is on it?
static bool is_spacious(const struct seating *s, size_t index)
{
	const struct topology_core *core = &s->topology->cores[index];
	if (!s->problem->cpus)
		return index != s->topology->housekeeping;
	for (size_t pu = core->pu_first; pu < core->pu_first + core->pu_count; pu++)
		if (is_given(s, pu))
			return true;
	return false;
}

static void count_free(struct seating *s, size_t index, int sign)
{
	const struct topology_core *core = &s->topology->cores[index];
	if (!is_spacious(s, index))
		return;
	if (core->node >= 0)
		s->node_free[core->node] += sign;
	if (core->l3 >= 0)
		s->cache_free[core->l3] += sign;
}

static void sit(struct seating *s, unsigned worker, size_t pu)
{
	size_t core = s->topology->pus[pu].core;
	s->pu_of[worker] = pu;
	s->seated[worker] = true;
	s->pu_users[pu]++;
	if (s->core_users[core]++ == 0)
		count_free(s, core, -1);
}

static void seat_others(struct seating *s)
{
	for (size_t pu = 0; pu < s->topology->pu_count && !s->problem->cpus; pu++) {
		size_t core = s->topology->pus[pu].core;
		if (!s->problem->taken[pu])
			continue;
		s->pu_users[pu]++;
		if (s->core_users[core]++ == 0)
			count_free(s, core, -1);
	}
}

static void list_peers(struct seating *s)
{
	size_t at = 0;
	for (unsigned worker = 0; worker < s->problem->workers; worker++) {
		s->peers_first[worker] = at;
		for (unsigned peer = 0; peer < s->problem->workers; peer++)
			if (peer != worker && traffic_of(s, worker, peer))
				s->peers[at++] = peer;
		s->peers_first[worker + 1] = at;
	}
}

static void find_components(struct seating *s)
{
	unsigned workers = s->problem->workers;
	for (unsigned w = 0; w < workers; w++)
		s->component[w] = w;
	for (unsigned a = 0; a < workers; a++)
		for (unsigned b = a + 1; b < workers; b++) {
			unsigned into = s->component[a], from = s->component[b];
			if (into == from || !traffic_of(s, a, b))
				continue;
			for (unsigned w = 0; w < workers; w++)
				if (s->component[w] == from)
					s->component[w] = into;
		}
}

static unsigned unseated_with(const struct seating *s, unsigned worker)
{
	unsigned count = 0;
	for (unsigned w = 0; w < s->problem->workers; w++)
		count += s->component[w] == s->component[worker] && !s->seated[w];
	return count;
}

// The one that talks most to those seated, so that a component is finished before the next is
// begun; a component is begun at its NIC, and the largest first.
static bool goes_before(const struct seating *s, unsigned a, unsigned b)
{
	if (s->pull[a] != s->pull[b])
		return s->pull[a] > s->pull[b];
	uint64_t nic_a = nic_total(s, a), nic_b = nic_total(s, b);
	if (nic_a != nic_b)
		return nic_a > nic_b;
	unsigned size_a = unseated_with(s, a), size_b = unseated_with(s, b);
	return size_a != size_b ? size_a > size_b : a < b;
}

static unsigned next_worker(const struct seating *s)
{
	unsigned next = s->problem->workers;
	for (unsigned w = 0; w < s->problem->workers; w++)
		if (!s->seated[w] && (next == s->problem->workers || goes_before(s, w, next)))
			next = w;
	return next;
}

// Of equals, the first; CPUs that were given go in their order.
static size_t best_pu(const struct seating *s, unsigned worker)
{
	unsigned needed = unseated_with(s, worker);
	size_t best = s->topology->pu_count;
	struct choice best_choice = {.rank = UINT32_MAX};
	size_t count = s->problem->cpus ? s->problem->workers : s->topology->pu_count;
	for (size_t i = 0; i < count; i++) {
		size_t pu = s->problem->cpus ? s->problem->cpus[i] : i;
		if (!is_candidate(s, pu) || rank_of(s, pu) > best_choice.rank)
			continue;
		struct choice choice = weigh_pu(s, worker, pu, needed);
		if (choice_compare(&choice, &best_choice) < 0) {
			best = pu;
			best_choice = choice;
		}
	}
	ASSERT(best < s->topology->pu_count);
	return best;
}

static void seat_all(struct seating *s)
{
	for (unsigned count = 0; count < s->problem->workers; count++) {
		unsigned worker = next_worker(s);
		sit(s, worker, best_pu(s, worker));
		for (unsigned peer = 0; peer < s->problem->workers; peer++)
			s->pull[peer] += traffic_of(s, worker, peer);
		for (size_t pu = 0; pu < s->topology->pu_count; pu++)
			s->spread[pu] += seating_distance(s->topology, pu, s->pu_of[worker]);
	}
}

static bool improve_by_swap(struct seating *s, unsigned a, unsigned b)
{
	size_t on_a = s->pu_of[a], on_b = s->pu_of[b];
	uint64_t before = cost_of(s, a, on_a, b) + cost_of(s, b, on_b, a);
	if (cost_of(s, a, on_b, b) + cost_of(s, b, on_a, a) >= before)
		return false;
	s->pu_of[a] = on_b;
	s->pu_of[b] = on_a;
	return true;
}

// To a core that nobody wanted. While there is one, every worker has a core of its own.
static bool improve_by_move(struct seating *s, unsigned worker)
{
	uint64_t best = cost_of(s, worker, s->pu_of[worker], worker);
	size_t from = s->pu_of[worker], to = from;
	for (size_t pu = 0; pu < s->topology->pu_count && !s->problem->cpus; pu++) {
		if (rank_of(s, pu) != RANK_CORE || !is_candidate(s, pu))
			continue;
		uint64_t cost = cost_of(s, worker, pu, worker);
		if (cost < best) {
			best = cost;
			to = pu;
		}
	}
	if (to == from)
		return false;
	s->pu_users[from]--;
	s->core_users[s->topology->pus[from].core]--;
	count_free(s, s->topology->pus[from].core, 1);
	sit(s, worker, to);
	return true;
}

// Every change lowers the cost, so this ends; the bound keeps it short.
static void improve(struct seating *s)
{
	bool changed = true;
	for (int pass = 0; changed && pass < PASSES_MAX; pass++) {
		changed = false;
		for (unsigned a = 0; a < s->problem->workers; a++) {
			changed |= improve_by_move(s, a);
			for (unsigned b = a + 1; b < s->problem->workers; b++)
				changed |= improve_by_swap(s, a, b);
		}
	}
}

static int allocate(struct seating *s)
{
	const struct topology *t = s->topology;
	unsigned workers = s->problem->workers;
	s->seated = calloc(workers, sizeof(*s->seated));
	s->component = calloc(workers, sizeof(*s->component));
	s->peers_first = calloc(workers + 1, sizeof(*s->peers_first));
	s->peers = calloc((size_t)workers * workers, sizeof(*s->peers));
	s->pull = calloc(workers, sizeof(*s->pull));
	s->spread = calloc(t->pu_count, sizeof(*s->spread));
	s->pu_users = calloc(t->pu_count, sizeof(*s->pu_users));
	s->core_users = calloc(t->core_count, sizeof(*s->core_users));
	s->node_free = calloc(t->node_count + 1, sizeof(*s->node_free));
	s->cache_free = calloc(t->cache_count + 1, sizeof(*s->cache_free));
	bool whole = s->seated && s->component && s->peers_first && s->peers && s->pull &&
		s->spread && s->pu_users && s->core_users && s->node_free && s->cache_free;
	return whole ? 0 : -ENOMEM;
}

static void release(struct seating *s)
{
	free(s->seated);
	free(s->component);
	free(s->peers_first);
	free(s->peers);
	free(s->pull);
	free(s->spread);
	free(s->pu_users);
	free(s->core_users);
	free(s->node_free);
	free(s->cache_free);
}

int seating_compute(const struct seating_problem *problem, size_t *pu_of)
{
	struct seating s = {.problem = problem, .topology = problem->topology, .pu_of = pu_of};
	ASSERT(problem->workers > 0 && problem->topology->pu_count > 0);
	int rc = allocate(&s);
	if (!rc) {
		for (size_t core = 0; core < s.topology->core_count; core++)
			count_free(&s, core, 1);
		seat_others(&s);
		list_peers(&s);
		find_components(&s);
		seat_all(&s);
		improve(&s);
	}
	release(&s);
	return rc;
}
