#include "tests/sim/output.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/capture.h"
#include "tests/sim/model.h"

static void print_row(const char *what, const struct rows *rows, size_t i)
{
	fprintf(stderr, "  %s row %zu of %zu:", what, i, rows->count);
	for (int v = 0; i < rows->count && v < ROW_WIDTH; v++)
		fprintf(stderr, " %" PRId64, rows->rows[i].values[v]);
	fputc('\n', stderr);
}

static void gather_output(uint32_t slot, struct rows *out)
{
	for (uint32_t i = 0; i < CAPTURE_TASKS_MAX; i++)
		for (size_t j = 0; j < captured.of[slot][i].rows.count; j++)
			rows_add(out, &captured.of[slot][i].rows.rows[j]);
	rows_sort(out);
}

// Rows of `top` in the order they came: of one window by rank, then by their fields (which texts'
// hashes do not show).
static bool ranks_in_order(const struct query *q, const struct rows *came)
{
	struct rows last = {0}; // of every window
	uint32_t by = 2 + query_key_count(q);
	bool good = true, by_fields = !scenario_streams[q->stream].text_keys;
	for (size_t i = 0; i < came->count && good; i++) {
		const struct row *row = &came->rows[i];
		size_t at = last.count;
		while (at > 0 && last.rows[at - 1].values[0] != row->values[0])
			at--;
		if (at == 0) {
			rows_add(&last, row);
			continue;
		}
		struct row *before = &last.rows[at - 1];
		good = before->values[by] > row->values[by] ||
			(before->values[by] == row->values[by] &&
				(!by_fields || row_compare(before, row) <= 0));
		*before = *row;
	}
	rows_free(&last);
	return good;
}

static bool check_order(const struct scenario *s, uint32_t slot)
{
	for (uint32_t i = 0; i < CAPTURE_TASKS_MAX; i++) {
		const struct capture_rows *c = &captured.of[slot][i];
		const char *broken = NULL;
		if (c->differs)
			broken = "a sink's successor was given other rows, or in another order";
		else if (s->queries[slot].top != 0 && !ranks_in_order(&s->queries[slot], &c->rows))
			broken = "rows of a window do not come by rank and fields";
		if (broken == NULL)
			continue;
		fprintf(stderr, "seed %" PRIu64 ", sink %u: %s\n", s->seed, slot, broken);
		return false;
	}
	return true;
}

// An interrupted job has fired its windows up to some time, all of them whole.
static void cut_model(const struct query *q, const struct rows *output, struct rows *model)
{
	size_t kept = 0;
	int64_t last = output->count == 0 ? INT64_MIN : output->rows[output->count - 1].values[0];
	if (!q->window) { // a part of the rows, in no particular places
		size_t at = 0;
		for (size_t i = 0; i < model->count && at < output->count; i++)
			if (row_compare(&model->rows[i], &output->rows[at]) == 0)
				model->rows[kept++] = output->rows[at++];
	} else {
		while (kept < model->count && model->rows[kept].values[0] <= last)
			kept++;
	}
	model->count = kept;
}

bool output_check(const struct scenario *s, uint32_t slot)
{
	struct rows output = {0}, model = {0};
	gather_output(slot, &output);
	model_compute(s, &s->queries[slot], &model);
	if (s->interrupt_ns != 0)
		cut_model(&s->queries[slot], &output, &model);
	size_t at = rows_difference(&output, &model);
	if (at != SIZE_MAX) {
		fprintf(stderr, "seed %" PRIu64 ", sink %u: the output differs from the model\n",
			s->seed, slot);
		print_row("output", &output, at);
		print_row("model ", &model, at);
	}
	rows_free(&output);
	rows_free(&model);
	return at == SIZE_MAX && check_order(s, slot);
}
