#include "control/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "numa/assert.h"

// What engine_report calls back with, for one operator.
struct collector {
	struct weir_reporter reporter;
	struct report_operator *op;
	struct heap *heap;
};

static void collector_add(struct weir_reporter *reporter, const char *name, uint64_t value)
{
	struct collector *collector = (struct collector *)reporter;
	struct report_operator *op = collector->op;
	for (uint32_t i = 0; i < op->result_count; i++) {
		if (strcmp(op->results[i].name, name) == 0) {
			op->results[i].value += value;
			return;
		}
	}
	if (op->result_count < REPORT_RESULTS_MAX)
		op->results[op->result_count++] = (struct report_result){
			heap_text(collector->heap, name, strlen(name)), value};
}

static void take_kind(struct report_operator *op, const struct job_plan *plan, uint32_t index)
{
	for (uint32_t t = 0; t < plan->task_count; t++) {
		for (uint32_t i = 0; i < plan->tasks[t].step_count; i++) {
			const struct plan_step *step = &plan->tasks[t].steps[i];
			if (step->operator_index != index)
				continue;
			op->kind = step->kind->kind;
			op->role = step->kind->role;
			op->leads = i == 0;
			return;
		}
	}
}

static uint64_t dropped_total(const struct weir_counters *c)
{
	uint64_t total = 0;
	for (uint32_t d = 0; d < WEIR_DROP_COUNT; d++)
		total += c->dropped[d];
	return total;
}

// What a source read is what it passed on or dropped; what it routed it did both to.
static void count_read(struct weir_counters *source)
{
	source->records_in = source->records_out + dropped_total(source) - source->routed;
}

void report_collect(struct report *report, struct heap *heap, const struct job_plan *plan,
	const struct engine *engine)
{
	report->recovery = plan->recovery;
	engine_checkpoints(engine, &report->checkpoints);
	report->operator_count = plan->operator_count;
	report->operators = heap_alloc(heap, plan->operator_count * sizeof(*report->operators));
	for (uint32_t i = 0; i < plan->operator_count; i++) {
		struct report_operator *op = &report->operators[i];
		op->id = plan->operator_ids[i];
		take_kind(op, plan, i);
		engine_figures(engine, i, &op->figures);
		struct collector collector = {{collector_add}, op, heap};
		engine_report(engine, i, &collector.reporter);
		if (op->role == WEIR_SOURCE)
			count_read(&op->figures.counters);
	}
}

void report_total(const struct report *report, struct engine_figures *ret_total)
{
	struct engine_figures total = {0};
	for (uint32_t i = 0; i < report->operator_count; i++) {
		const struct report_operator *op = &report->operators[i];
		const struct weir_counters *c = &op->figures.counters;
		if (op->role == WEIR_SOURCE)
			total.counters.records_in += c->records_in;
		if (op->role == WEIR_SINK)
			total.counters.records_out += c->records_in;
		for (uint32_t d = 0; d < WEIR_DROP_COUNT; d++)
			total.counters.dropped[d] += c->dropped[d];
		if (!op->leads)
			continue;
		double tasks = op->figures.tasks / (double)report->workers;
		total.tasks += op->figures.tasks;
		total.busy_share += op->figures.busy_share * tasks;
		total.backpressured_share += op->figures.backpressured_share * tasks;
	}
	*ret_total = total;
}

static void set_figures(json_t *object, const struct engine_figures *f, double seconds)
{
	const struct weir_counters *c = &f->counters;
	json_t *dropped = json_object();
	for (uint32_t d = 0; d < WEIR_DROP_COUNT; d++)
		json_object_set_new(dropped, weir_drop_names[d],
			json_integer((json_int_t)c->dropped[d]));
	json_object_set_new(object, "records_in", json_integer((json_int_t)c->records_in));
	json_object_set_new(object, "records_out", json_integer((json_int_t)c->records_out));
	json_object_set_new(object, "late", json_integer((json_int_t)c->dropped[WEIR_DROP_LATE]));
	json_object_set_new(object, "dropped", dropped);
	json_object_set_new(object, "seconds", json_real(seconds));
	json_object_set_new(object, "records_per_second",
		json_real(seconds > 0 ? (double)c->records_in / seconds : 0));
	json_object_set_new(object, "busy_share", json_real(f->busy_share));
	json_object_set_new(object, "backpressured_share", json_real(f->backpressured_share));
}

static json_t *result_json(const struct report_result *result)
{
	char digits[17];
	if (strcmp(result->name, "hash") != 0)
		return json_integer((json_int_t)result->value);
	snprintf(digits, sizeof(digits), "%016" PRIx64, result->value);
	return json_string(digits);
}

static json_t *operator_json(const struct report *report, const struct report_operator *op)
{
	json_t *object = json_object();
	json_object_set_new(object, "id", json_string(op->id));
	json_object_set_new(object, "kind", json_string(op->kind));
	json_object_set_new(object, "tasks", json_integer(op->figures.tasks));
	set_figures(object, &op->figures, report->seconds);
	for (uint32_t i = 0; i < op->result_count; i++)
		json_object_set_new(object, op->results[i].name, result_json(&op->results[i]));
	return object;
}

static json_t *checkpoints_json(const struct engine_checkpoints *c)
{
	json_t *object = json_object();
	json_object_set_new(object, "committed", json_integer(c->committed));
	json_object_set_new(object, "early", json_integer(c->early));
	json_object_set_new(object, "waiting_share_max", json_real(c->waiting_share_max));
	json_object_set_new(object, "pause_seconds_max", json_real((double)c->pause_ns_max / 1e9));
	json_object_set_new(object, "snapshot_bytes_max",
		json_integer((json_int_t)c->snapshot_bytes_max));
	return object;
}

char *report_json(const struct report *report)
{
	json_t *root = json_object(), *total = json_object(), *operators = json_array();
	struct engine_figures sum;
	report_total(report, &sum);
	set_figures(total, &sum, report->seconds);
	for (uint32_t i = 0; i < report->operator_count; i++)
		json_array_append_new(operators, operator_json(report, &report->operators[i]));
	json_object_set_new(root, "schema", json_string("weir-report-1"));
	json_object_set_new(root, "job", json_string(report->job));
	json_object_set_new(root, "state", json_string(report->state));
	if (report->error)
		json_object_set_new(root, "error", json_string(report->error));
	json_object_set_new(root, "workers", json_integer(report->workers));
	json_object_set_new(root, "seconds", json_real(report->seconds));
	json_object_set_new(root, "total", total);
	if (report->recovery)
		json_object_set_new(root, "checkpoints", checkpoints_json(&report->checkpoints));
	json_object_set_new(root, "operators", operators);
	char *text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	VERIFY(text);
	return text;
}

static int id_width(const struct report *report)
{
	int width = (int)strlen("operator");
	for (uint32_t i = 0; i < report->operator_count; i++) {
		int length = (int)strlen(report->operators[i].id);
		width = length > width ? length : width;
	}
	return width;
}

static void print_results(const struct report_operator *op, FILE *out)
{
	for (uint32_t i = 0; i < op->result_count; i++) {
		const struct report_result *r = &op->results[i];
		bool hash = strcmp(r->name, "hash") == 0;
		fprintf(out, hash ? "  %s %016" PRIx64 : "  %s %" PRIu64, r->name, r->value);
	}
}

static void print_drops(const struct report_operator *op, FILE *out)
{
	for (uint32_t d = 0; d < WEIR_DROP_COUNT; d++)
		if (op->figures.counters.dropped[d])
			fprintf(out, "  %s: %" PRIu64 " %s\n", op->id,
				op->figures.counters.dropped[d], weir_drop_names[d]);
}

static void print_checkpoints(const struct engine_checkpoints *c, FILE *out)
{
	fprintf(out,
		"checkpoints: %u committed, longest pause %.3f ms, largest snapshot %" PRIu64
		" bytes\n",
		c->committed, (double)c->pause_ns_max / 1e6, c->snapshot_bytes_max);
	if (c->early != 0)
		fprintf(out,
			"  %u early, half of a channel's retention or a task's log being full: "
			"raise checkpoint.retention or lower checkpoint.interval\n",
			c->early);
	if (c->waiting_share_max >= 0.001)
		fprintf(out,
			"  a task waited %.1f%% of the time for a checkpoint, its retention full\n",
			100 * c->waiting_share_max);
}

void report_print(const struct report *report, FILE *out)
{
	int width = id_width(report);
	fprintf(out, "%-*s %-16s %5s %12s %12s %9s %5s %6s\n", width, "operator", "kind", "tasks",
		"records in", "records out", "dropped", "busy", "held");
	for (uint32_t i = 0; i < report->operator_count; i++) {
		const struct report_operator *op = &report->operators[i];
		const struct engine_figures *f = &op->figures;
		fprintf(out,
			"%-*s %-16s %5u %12" PRIu64 " %12" PRIu64 " %9" PRIu64 " %4.0f%% %5.0f%%",
			width, op->id, op->kind, f->tasks, f->counters.records_in,
			f->counters.records_out, dropped_total(&f->counters), 100 * f->busy_share,
			100 * f->backpressured_share);
		print_results(op, out);
		fputc('\n', out);
	}
	for (uint32_t i = 0; i < report->operator_count; i++)
		print_drops(&report->operators[i], out);
	if (report->recovery)
		print_checkpoints(&report->checkpoints, out);
	struct engine_figures total;
	report_total(report, &total);
	double rate = report->seconds > 0 ? (double)total.counters.records_in / report->seconds : 0;
	fprintf(out, "%s: %" PRIu64 " records in %.3f s, %.3g million/s, %u worker%s\n",
		report->state, total.counters.records_in, report->seconds, rate / 1e6,
		report->workers, report->workers == 1 ? "" : "s");
}
