#include "dataplane/chain_groups.h"

#include <errno.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "state/group_set.h"
#include "state/snapshot.h"

// About so much of a snapshot is restored in a step: a tenth of a millisecond's work.
enum { STEP_BYTES = 32 << 10 };

// Of an operator.
struct chain_groups {
	struct chain_load *load;
	struct group_set absent;
	struct group_set needed;       // and absent, of the batch in hand
	bool named;                    // `needed` is of the batch in hand
	uint32_t background_at;        // none below is absent
	struct snapshot_reader reader; // at the operator's section
};

int chain_groups_create(struct chain_link *link, struct chain_load *load, struct arena *arena,
	uint32_t group_bits)
{
	if (!WEIR_OPERATOR_HAS(link->kind, restore_group))
		return 0;
	struct chain_groups *g = arena_alloc(arena, sizeof(*g), 64);
	if (g == NULL || group_set_create(&g->absent, arena, group_bits) ||
		group_set_create(&g->needed, arena, group_bits))
		return -ENOMEM;
	g->load = load;
	g->named = false;
	link->groups = g;
	return 0;
}

static void load_begin(struct chain_load *load, uint32_t groups, size_t bytes)
{
	load->absent += groups;
	load->bytes += bytes;
	uint64_t most = load->bytes == 0 ? 0 : (uint64_t)load->absent * STEP_BYTES / load->bytes;
	load->groups_max = most == 0 ? 1 : most < load->absent ? (uint32_t)most : load->absent;
	load->groups_left = load->groups_max;
}

int chain_groups_restore(struct chain_link *link, const struct snapshot_reader *r)
{
	struct chain_groups *g = link->groups;
	struct snapshot_reader copy = *r;
	if (g == NULL || r->version < link->kind->groups_version)
		return link->kind->restore(link->self, &link->ctx, &copy);
	group_set_clear(&g->absent);
	g->reader = copy;
	g->named = false;
	g->background_at = 0;
	int error = link->kind->restore_begin(link->self, &link->ctx, &copy, &g->absent);
	uint32_t groups = error ? 0 : group_set_count(&g->absent);
	if (groups == 0)
		return error;
	link->absent = g;
	load_begin(g->load, groups, snapshot_left(r));
	return 0;
}

static enum weir_flow restore_group(struct chain_link *link, uint32_t group)
{
	struct chain_groups *g = link->groups;
	struct snapshot_reader r = g->reader;
	ASSERT(group_set_has(&g->absent, group) && g->load->absent != 0);
	group_set_remove(&g->absent, group);
	g->load->absent--;
	g->load->groups_left--;
	int error = link->kind->restore_group(link->self, &link->ctx, &r, group);
	if (error == 0)
		return WEIR_DONE;
	if (link->ctx.error[0] == '\0')
		weir_fail(&link->ctx,
			"key group %u of a snapshot cannot be restored (%s); it is damaged", group,
			error == -ENOMEM ? "state memory is exhausted" : "it is not as it says");
	return WEIR_FAILED;
}

// Restore groups of a set of absent ones, as many as the step still may.
static enum weir_flow restore_some(struct chain_link *link, struct group_set *set, uint32_t *from,
	uint64_t *restored)
{
	struct chain_load *load = link->groups->load;
	uint32_t group;
	while ((group = group_set_next(set, *from)) != GROUP_NONE) {
		if (load->groups_left == 0)
			return WEIR_FULL;
		if (restore_group(link, group) != WEIR_DONE)
			return WEIR_FAILED;
		group_set_remove(set, group);
		++*restored;
		*from = group;
	}
	return WEIR_DONE;
}

// All groups of the operator are there once its set of absent ones is empty.
static void note_whole(struct chain_link *link)
{
	if (group_set_next(&link->groups->absent, 0) == GROUP_NONE)
		link->absent = NULL;
}

static enum weir_flow await(struct chain_link *link, struct group_set *set)
{
	struct chain_load *load = link->groups->load;
	uint32_t from = 0;
	enum weir_flow flow = restore_some(link, set, &from, &load->needed);
	load->waits += flow == WEIR_FULL;
	if (flow == WEIR_DONE)
		note_whole(link);
	return flow;
}

enum weir_flow chain_groups_for_batch(struct chain_link *link)
{
	struct chain_groups *g = link->absent;
	if (!g->named) {
		group_set_clear(&g->needed);
		link->kind->keys(link->self, &link->ctx, &link->batch, &g->needed);
		g->named = true;
	}
	group_set_intersect(&g->needed, &g->absent); // some may have come in the background
	enum weir_flow flow = await(link, &g->needed);
	if (flow == WEIR_DONE)
		g->named = false;
	return flow;
}

enum weir_flow chain_groups_for_all(struct chain_link *link)
{
	return await(link, &link->absent->absent);
}

enum weir_flow chain_groups_for_watermark(struct chain_link *link)
{
	const struct weir_operator *kind = link->kind;
	if (WEIR_OPERATOR_HAS(kind, watermark_reads) &&
		!kind->watermark_reads(link->self, link->watermark_ns))
		return WEIR_DONE;
	return chain_groups_for_all(link);
}

enum weir_flow chain_groups_step(struct chain_link *links, uint32_t count, struct chain_load *load,
	uint32_t *ret_restored)
{
	enum weir_flow flow = WEIR_DONE;
	for (uint32_t i = 0; i < count && flow == WEIR_DONE; i++) {
		struct chain_groups *g = links[i].absent;
		if (g == NULL)
			continue;
		flow = restore_some(&links[i], &g->absent, &g->background_at, &load->background);
		if (flow == WEIR_DONE)
			note_whole(&links[i]);
	}
	*ret_restored = load->groups_max - load->groups_left;
	load->groups_left = load->groups_max;
	return flow == WEIR_FAILED ? flow : WEIR_DONE;
}
