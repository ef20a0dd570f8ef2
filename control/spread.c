#include "control/spread.h"

#include <string.h>
#include <xxhash.h>

#include "numa/assert.h"

struct spread {
	struct planned_job *planned;
	uint32_t workers;
	uint64_t *loads;  // by worker
	uint32_t *fed_by; // by task: the one that feeds it and no other on this edge; itself: none
};

static uint32_t least_loaded(const struct spread *s)
{
	uint32_t best = 0;
	for (uint32_t w = 1; w < s->workers; w++)
		if (s->loads[w] < s->loads[best])
			best = w;
	return best;
}

static void find_feeders(struct spread *s)
{
	const struct job_plan *plan = &s->planned->plan;
	for (uint32_t t = 0; t < plan->task_count; t++)
		s->fed_by[t] = t;
	for (uint32_t t = 0; t < plan->task_count; t++) {
		for (uint32_t i = 0; i < plan->tasks[t].edge_count; i++) {
			const struct plan_edge *edge = &plan->tasks[t].edges[i];
			uint32_t to = plan->channels[edge->channels[0]].to;
			if (edge->channel_count == 1 && plan->tasks[to].input_count == 1)
				s->fed_by[to] = t;
		}
	}
}

static uint32_t choose(const struct spread *s, uint32_t task)
{
	const struct plan_task *t = &s->planned->plan.tasks[task];
	if (s->fed_by[task] != task)
		return s->planned->plan.tasks[s->fed_by[task]].worker;
	if (t->count > 1) // in blocks, so that neighbours share a node
		return (uint32_t)((uint64_t)t->index * s->workers / t->count);
	return least_loaded(s);
}

// Producers stand before their consumers in the plan.
void spread_tasks(struct planned_job *planned, struct heap *heap, uint32_t workers)
{
	struct spread s = {.planned = planned, .workers = workers};
	s.loads = heap_alloc(heap, workers * sizeof(*s.loads));
	s.fed_by = heap_alloc(heap, (planned->plan.task_count + 1) * sizeof(*s.fed_by));
	find_feeders(&s);
	for (uint32_t t = 0; t < planned->plan.task_count; t++) {
		uint32_t worker = choose(&s, t);
		planned->tasks[t].worker = worker;
		s.loads[worker] += planned->graph.tasks[t].weight;
	}
	planned->plan.worker_count = workers;
}

static void add(XXH3_state_t *state, const void *data, size_t bytes)
{
	XXH3_64bits_update(state, data, bytes);
}

static void add_number(XXH3_state_t *state, uint64_t number)
{
	add(state, &number, sizeof(number));
}

static void add_text(XXH3_state_t *state, const char *text)
{
	add(state, text, strlen(text) + 1);
}

static void add_numbers(XXH3_state_t *state, const uint32_t *numbers, uint32_t count)
{
	add_number(state, numbers != NULL);
	if (numbers != NULL)
		add(state, numbers, count * sizeof(*numbers));
}

static void add_schema(XXH3_state_t *state, const struct weir_schema *schema)
{
	add_number(state, schema != NULL);
	if (schema == NULL)
		return;
	add_number(state, schema->variant);
	add_number(state, schema->field_count);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct weir_field *field = &schema->fields[i];
		add_text(state, field->name);
		add_number(state, field->type);
		add_number(state, field->precision);
		add_number(state, field->scale);
	}
}

static void add_task(XXH3_state_t *state, const struct plan_task *task)
{
	add_number(state, task->worker);
	add_number(state, task->index);
	add_number(state, task->count);
	add_number(state, task->standing);
	if (task->standing != PLAN_SINGLE) {
		add_number(state, task->twin);
		add_number(state, task->log);
	}
	add_number(state, task->input_count);
	add_numbers(state, task->inputs, task->input_count);
	add_numbers(state, task->standby_inputs, task->input_count);
	for (uint32_t i = 0; i < task->step_count; i++) {
		add_text(state, task->steps[i].kind->kind);
		add_number(state, task->steps[i].kind->state_version);
		add_number(state, task->steps[i].operator_index);
	}
	for (uint32_t i = 0; i < task->edge_count; i++) {
		const struct plan_edge *edge = &task->edges[i];
		add_number(state, edge->exchange);
		add_number(state, edge->channel_count);
		add_numbers(state, edge->channels, edge->channel_count);
		add_numbers(state, edge->twins, edge->channel_count);
		for (uint32_t k = 0; k < edge->key_count; k++)
			add_number(state, edge->keys[k]);
		for (uint32_t f = 0; f < edge->output->field_count; f++)
			add_number(state, edge->fields[f]);
	}
}

static void add_settings(XXH3_state_t *state, const struct job_plan *plan)
{
	add_number(state, plan->id);
	add_number(state, plan->version);
	add_number(state, plan->group_bits);
	add_number(state, plan->worker_count);
	add_number(state, plan->frame_bytes);
	add_number(state, plan->channel_frames);
	add_number(state, plan->recovery);
	add_number(state, plan->hot);
	add_number(state, plan->channel_retention_bytes);
}

uint64_t spread_plan_hash(const struct job_plan *plan)
{
	XXH3_state_t *state = XXH3_createState();
	VERIFY(state != NULL);
	XXH3_64bits_reset(state);
	add_settings(state, plan);
	for (uint32_t i = 0; i < plan->operator_count; i++)
		add_text(state, plan->operator_ids[i]);
	for (uint32_t t = 0; t < plan->task_count; t++)
		add_task(state, &plan->tasks[t]);
	for (uint32_t c = 0; c < plan->channel_count; c++) {
		add_number(state, plan->channels[c].from);
		add_number(state, plan->channels[c].to);
		add_schema(state, plan->channels[c].schema);
	}
	uint64_t hash = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return hash;
}
