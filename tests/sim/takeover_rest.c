#include "tests/sim/takeover_rest.h"

const int64_t rest_windows_ns[REST_WINDOWS] = {1000000, 10000000};

static bool is_of_rest(const struct takeover_rest *rest, const struct replica_world *w,
	uint32_t task)
{
	return w->planned.plan.tasks[task].standing != PLAN_REPLICA &&
		replica_node_of(w, task) != rest->lost;
}

static uint64_t items_of_rest(const struct takeover_rest *rest, const struct replica_world *w)
{
	const struct job_plan *plan = &w->planned.plan;
	uint64_t items = 0;
	for (uint32_t i = 0; i < plan->channel_count; i++) {
		const struct plan_channel *c = &plan->channels[i];
		if (c->schema == NULL || !is_of_rest(rest, w, c->from) ||
			!is_of_rest(rest, w, c->to))
			continue;
		const struct engine *e = w->nodes[replica_node_of(w, c->to)].engine;
		items += e->receiver_of[i]->next_number;
	}
	return items;
}

void rest_begin(struct takeover_rest *rest, const struct replica_world *w, uint32_t lost)
{
	*rest = (struct takeover_rest){.lost = lost, .death_ns = w->now_ns};
	rest->before = items_of_rest(rest, w);
}

void rest_look(struct takeover_rest *rest, const struct replica_world *w, int64_t now_ns)
{
	while (rest->done < REST_WINDOWS && now_ns >= rest->death_ns + rest_windows_ns[rest->done])
		rest->items[rest->done++] = items_of_rest(rest, w) - rest->before;
}
