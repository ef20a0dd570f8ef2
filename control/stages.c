#include "control/stages.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "control/job_graph.h"
#include "control/job_recovery.h"
#include "dataplane/frame.h"
#include "numa/assert.h"

static bool same_fields(const struct weir_schema *a, const struct weir_schema *b)
{
	if (a->field_count != b->field_count)
		return false;
	for (uint32_t i = 0; i < a->field_count; i++) {
		const struct weir_field *x = &a->fields[i], *y = &b->fields[i];
		if (strcmp(x->name, y->name) != 0 || x->type != y->type ||
			x->precision != y->precision || x->scale != y->scale)
			return false;
	}
	return true;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

// Keyed and source operators spread over all workers; the others follow their input, and where
// they cannot, run as one task.
static uint32_t choose_parallelism(struct job *job, const struct job_operator *op,
	const struct weir_plan *plan, uint32_t upstream, uint32_t workers)
{
	uint32_t max = plan->parallelism_max ? plan->parallelism_max : JOB_TASKS_MAX;
	if (upstream == 0 || plan->key_count > 0)
		return op->parallelism ? op->parallelism : least(workers, max);
	if (op->parallelism == 0)
		return upstream <= max ? upstream : 1;
	if (op->parallelism != 1 && op->parallelism != upstream)
		job_operator_error(job, op, "parallelism",
			"%u tasks cannot share the output of %u; write %u, or 1, or leave it out",
			op->parallelism, upstream, upstream);
	return op->parallelism;
}

// The fields that cross to the operator: those it reads, and its keys.
static uint64_t fields_needed(const struct weir_plan *plan, const struct weir_schema *produced)
{
	uint64_t all =
		produced->field_count == 64 ? UINT64_MAX : (1ULL << produced->field_count) - 1;
	uint64_t needed = plan->fields_used;
	for (uint32_t i = 0; i < plan->key_count; i++)
		needed |= 1ULL << plan->keys[i];
	return needed & all;
}

// Returns the schema of only the needed fields (the same one if all are), and where they come from.
static const struct weir_schema *narrow(struct heap *heap, const struct weir_schema *produced,
	uint64_t needed, const uint16_t **ret_fields)
{
	uint16_t *fields = heap_alloc(heap, SCHEMA_FIELDS_MAX * sizeof(*fields));
	struct weir_schema *schema = heap_alloc(heap, sizeof(*schema));
	memcpy(schema->name, produced->name, sizeof(schema->name));
	schema->variant = produced->variant;
	for (uint16_t i = 0; i < produced->field_count; i++) {
		const struct weir_field *field = &produced->fields[i];
		if (!(needed >> i & 1))
			continue;
		fields[schema->field_count] = i;
		int rc = schema_add(schema, field->name, field->type, field->precision,
			field->scale);
		VERIFY(rc == 0);
	}
	schema_layout(schema);
	*ret_fields = fields;
	return schema->field_count == produced->field_count ? produced : schema;
}

// The plan against exactly this input; the one of the check is used again where it fits.
static struct weir_plan *plan_against(struct job *job, uint32_t index,
	const struct weir_plan *upstream, const struct weir_schema *input)
{
	struct weir_plan *checked = job->operators[index].plan;
	if (checked->upstream == upstream && checked->input == input)
		return checked;
	return job_plan_operator(job, index, upstream, input);
}

// Texts come on top, and are looked at record by record.
static void check_fits(struct job *job, const struct stage *s)
{
	const struct weir_value *exchange = weir_param_find(job->settings, "exchange");
	int64_t frame_bytes = weir_param_int(exchange, "frame", 0);
	if (s->input->fixed_bytes > frame_bytes - FRAME_HEADER_BYTES)
		job_operator_error(job, &job->operators[s->op], NULL,
			"a record that reaches it has at least %u bytes, more than the %" PRId64
			" that a frame holds; raise exchange.frame",
			s->input->fixed_bytes, frame_bytes - FRAME_HEADER_BYTES);
}

static int stage_connect(struct job *job, struct stages *stages, struct stage *s)
{
	const struct stage *from = &stages->stage[s->from];
	const struct weir_plan *plan = s->plan;
	uint16_t *keys = heap_alloc(&job->heap, sizeof(plan->keys));
	memcpy(keys, plan->keys, sizeof(plan->keys));
	s->keys = keys;
	s->key_count = plan->key_count;
	s->exchange = plan->key_count && s->parallelism > 1 ? EXCHANGE_HASH : EXCHANGE_FORWARD;
	s->input = narrow(&job->heap, s->produced, fields_needed(plan, s->produced), &s->fields);
	check_fits(job, s);
	s->plan = plan_against(job, s->op, from->plan, s->input);
	return s->plan ? 0 : -EINVAL;
}

static struct stage *stage_add(struct stages *stages, uint32_t op, uint32_t from)
{
	uint32_t index = stages->count++;
	struct stage *s = &stages->stage[index];
	*s = (struct stage){
		.op = op, .index = op, .from = from, .chain = index, .next = STAGE_NONE};
	return s;
}

static void stage_fuse(struct stages *stages, struct stage *s)
{
	struct stage *from = &stages->stage[s->from];
	s->chain = from->chain;
	s->position = from->position + 1;
	from->next = (uint32_t)(s - stages->stage);
}

// Run an operator on every part first, in its producer's tasks; what is left is little.
static uint32_t add_partial(struct job *job, struct stages *stages, uint32_t op, uint32_t from,
	struct weir_plan *plan)
{
	struct stage *s = stage_add(stages, op, from);
	s->index = job->operator_count + stages->partial_count++;
	s->partial = true;
	s->parallelism = stages->stage[from].parallelism;
	s->plan = plan;
	s->input = s->produced = plan->input;
	stage_fuse(stages, s);
	return (uint32_t)(s - stages->stage);
}

static bool chain_has_room(const struct stage *last)
{
	return last->position + 1 < PLAN_STEPS_MAX;
}

static bool partial_helps(const struct job_operator *op, const struct weir_plan *plan,
	const struct stage *from, bool only_consumer)
{
	return op->kind->partial && only_consumer && chain_has_room(from) &&
		from->parallelism > 1 && plan->output_count == 1 &&
		same_fields(&plan->outputs[0].schema, plan->input);
}

static uint32_t final_stage(const struct stages *stages, uint32_t op)
{
	uint32_t i = stages->count;
	while (stages->stage[--i].op != op)
		;
	return i;
}

static int add_source(struct job *job, struct stages *stages, uint32_t index, uint32_t workers)
{
	const struct job_operator *op = &job->operators[index];
	struct stage *s = stage_add(stages, index, STAGE_NONE);
	s->plan = op->plan;
	s->parallelism = choose_parallelism(job, op, op->plan, 0, workers);
	return 0;
}

// What cannot be replicated must not share the task of what is.
static bool stands_apart(const struct job *job, const struct job_operator *op)
{
	return op->kind->immediate && job_recovery(job) != NULL;
}

static int add_reader(struct job *job, struct stages *stages, uint32_t index, uint32_t workers)
{
	const struct job_operator *op = &job->operators[index];
	uint32_t from = final_stage(stages, op->input);
	bool only_consumer = job->operators[op->input].consumers == 1;
	const struct weir_schema *produced = plan_output(stages->stage[from].plan, op->output_name);
	struct weir_plan *plan = plan_against(job, index, stages->stage[from].plan, produced);
	if (!plan)
		return -EINVAL;
	uint32_t upstream = stages->stage[from].parallelism;
	uint32_t parallelism = choose_parallelism(job, op, plan, upstream, workers);
	if (partial_helps(op, plan, &stages->stage[from], only_consumer)) {
		parallelism = op->parallelism ? op->parallelism : 1; // little is left
		from = add_partial(job, stages, index, from, plan);
		produced = &plan->outputs[0].schema;
		plan = plan_against(job, index, plan, produced);
		if (!plan)
			return -EINVAL;
	}
	struct stage *s = stage_add(stages, index, from);
	s->parallelism = parallelism;
	s->produced = s->input = produced;
	s->plan = plan;
	bool crosses = plan->key_count && parallelism > 1;
	if (!only_consumer || crosses || stands_apart(job, op) || parallelism != upstream ||
		!chain_has_room(&stages->stage[from]))
		return stage_connect(job, stages, s);
	stage_fuse(stages, s);
	return 0;
}

int stages_plan(struct job *job, uint32_t workers, struct stages *stages)
{
	uint32_t before = job->errors.count;
	stages->count = stages->partial_count = 0;
	for (uint32_t i = 0; i < job->order_count; i++) {
		uint32_t index = job->order[i];
		bool source = job->operators[index].input == JOB_NO_INPUT;
		int rc = source ? add_source(job, stages, index, workers)
				: add_reader(job, stages, index, workers);
		if (rc < 0)
			return rc;
	}
	return job->errors.count > before ? -EINVAL : 0;
}
