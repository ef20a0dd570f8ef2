// What an agent tells the controller of its node and of the parts on it.
#include <stdlib.h>

#include "control/agent_parts.h"
#include "numa/assert.h"

enum { FIGURES_NS = 1000000000 };

// What a report says of its parts; filled per message and freed with it.
struct told {
	Weir__Part *parts;
	Weir__Part **list;
};

static void fill_operators(Weir__Part *out, const struct workload_status *status)
{
	out->operators = calloc(status->operator_count + 1, sizeof(*out->operators));
	VERIFY(out->operators);
	for (uint32_t i = 0; i < status->operator_count; i++) {
		const struct report_operator *op = &status->operators[i];
		const struct weir_counters *counters = &op->figures.counters;
		Weir__OperatorFigures *f = calloc(1, sizeof(*f));
		VERIFY(f);
		weir__operator_figures__init(f);
		f->id = (char *)op->id;
		f->kind = (char *)op->kind;
		f->role = op->role;
		f->leads = op->leads;
		f->tasks = op->figures.tasks;
		f->records_in = counters->records_in;
		f->records_out = counters->records_out;
		for (uint32_t d = 0; d < WEIR_DROP_COUNT; d++)
			f->dropped += counters->dropped[d];
		f->busy_share = op->figures.busy_share;
		f->backpressured_share = op->figures.backpressured_share;
		f->results = calloc(op->result_count + 1, sizeof(*f->results));
		VERIFY(f->results);
		for (uint32_t r = 0; r < op->result_count; r++) {
			f->results[r] = calloc(1, sizeof(**f->results));
			VERIFY(f->results[r]);
			weir__figure__init(f->results[r]);
			f->results[r]->name = (char *)op->results[r].name;
			f->results[r]->value = op->results[r].value;
		}
		f->n_results = op->result_count;
		out->operators[out->n_operators++] = f;
	}
}

static void free_operators(Weir__Part *part)
{
	for (size_t i = 0; i < part->n_operators; i++) {
		for (size_t r = 0; r < part->operators[i]->n_results; r++)
			free(part->operators[i]->results[r]);
		free(part->operators[i]->results);
		free(part->operators[i]);
	}
	free(part->operators);
}

static void fill_covers(Weir__Part *out, const struct workload_status *status)
{
	out->covers = calloc(status->cover_count + 1, sizeof(*out->covers));
	VERIFY(out->covers);
	for (uint32_t i = 0; i < status->cover_count; i++) {
		Weir__Cover *cover = calloc(1, sizeof(*cover));
		VERIFY(cover);
		weir__cover__init(cover);
		cover->whole = status->covers[i].whole;
		cover->n_by = status->covers[i].by_count;
		cover->by = (uint32_t *)(uintptr_t)status->covers[i].by;
		out->covers[out->n_covers++] = cover;
	}
}

static void free_covers(Weir__Part *part)
{
	for (size_t i = 0; i < part->n_covers; i++)
		free(part->covers[i]);
	free(part->covers);
}

void agent_part_status(const struct agent *a, const struct agent_part *part,
	struct workload_status *ret_status)
{
	const struct workload *workload = a->config.workload;
	*ret_status = (struct workload_status){.state = WORKLOAD_FAILED, .error = part->error};
	if (part->work)
		workload->ops->status(workload, part->work, ret_status);
}

static void fill_part(struct agent *a, struct agent_part *part, Weir__Part *out, bool figures)
{
	struct workload_status status;
	agent_part_status(a, part, &status);
	weir__part__init(out);
	out->job = part->job;
	out->incarnation = part->incarnation;
	out->state = (Weir__PartState)status.state;
	out->error = (char *)(status.error ? status.error : "");
	out->plan_hash = status.plan_hash;
	out->progress = status.progress;
	out->seconds = status.seconds;
	out->starved_ns = (uint64_t)status.starved_ns;
	out->n_lost = status.lost_count;
	out->lost = (uint32_t *)(uintptr_t)status.lost;
	out->n_admitted = status.admitted_count;
	out->admitted = (uint32_t *)(uintptr_t)status.admitted;
	out->n_repaired = status.repaired_count;
	out->repaired = (uint32_t *)(uintptr_t)status.repaired;
	bool whole = figures || status.state != part->told;
	if (whole)
		fill_operators(out, &status);
	if (whole && part->self == 0) // all have the same, of as many participants as there are
		fill_covers(out, &status);
	part->told = status.state;
	part->told_admitted = status.admitted_count;
	part->told_repaired = status.repaired_count;
}

static struct told tell(struct agent *a, bool figures)
{
	struct told told = {calloc(a->part_count + 1, sizeof(*told.parts)),
		calloc(a->part_count + 1, sizeof(*told.list))};
	VERIFY(told.parts && told.list);
	for (uint32_t i = 0; i < a->part_count; i++) {
		fill_part(a, &a->parts[i], &told.parts[i], figures);
		told.list[i] = &told.parts[i];
	}
	return told;
}

static void told_free(struct agent *a, struct told *told)
{
	for (uint32_t i = 0; i < a->part_count; i++) {
		free_operators(&told->parts[i]);
		free_covers(&told->parts[i]);
	}
	free(told->parts);
	free(told->list);
}

void agent_send_report(struct agent *a)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Report report = WEIR__REPORT__INIT;
	bool figures = a->now_ns - a->figures_ns >= FIGURES_NS;
	struct told told = tell(a, figures);
	if (figures)
		a->figures_ns = a->now_ns;
	a->reported_ns = a->now_ns;
	a->due = false;
	report.seen = a->seen;
	report.leaving = a->leaving;
	report.late_ns = (uint64_t)a->late_ns;
	a->late_ns = 0;
	report.n_parts = a->part_count;
	report.parts = told.list;
	message.body_case = WEIR__MESSAGE__BODY_REPORT;
	message.report = &report;
	message_send(a->config.bus, a->peer, &message);
	told_free(a, &told);
}

void agent_send_join(struct agent *a)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Join join = WEIR__JOIN__INIT;
	Weir__NodeRecord node = WEIR__NODE_RECORD__INIT;
	struct told told = tell(a, true);
	node.format = MESSAGE_VERSION;
	node.name = (char *)a->config.name;
	node.boot = a->config.boot;
	node.host = (char *)a->config.host;
	node.rack = (char *)a->config.rack;
	node.workers = a->config.workers;
	node.n_links = a->config.link_count;
	node.links = (char **)a->config.links;
	join.node = &node;
	join.protocol = CLUSTER_PROTOCOL;
	join.n_parts = a->part_count;
	join.parts = told.list;
	message.body_case = WEIR__MESSAGE__BODY_JOIN;
	message.join = &join;
	message_send(a->config.bus, a->peer, &message);
	told_free(a, &told);
}
