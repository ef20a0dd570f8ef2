#include "perf/baseline/baseline.h"

#include <stddef.h>
#include <string.h>

extern const struct baseline baseline_copy_far, baseline_copy_near, baseline_q0, baseline_q5_array,
	baseline_q5_table, baseline_scan;

const struct baseline *const baselines[] = {
	&baseline_scan,
	&baseline_copy_far,
	&baseline_copy_near,
	&baseline_q0,
	&baseline_q5_array,
	&baseline_q5_table,
	NULL,
};

const struct baseline *baseline_find(const char *name)
{
	for (uint32_t i = 0; baselines[i] != NULL; i++)
		if (strcmp(baselines[i]->name, name) == 0)
			return baselines[i];
	return NULL;
}

struct run {
	const struct baseline *baseline;
	void *self;
};

static void run_work(void *argument, uint32_t index)
{
	struct run *run = argument;
	run->baseline->work(run->self, index);
}

int baseline_run(const struct baseline *baseline, const struct rows *rows, const struct team *team,
	struct tally *ret_tally, int64_t *ret_ns)
{
	struct run run = {.baseline = baseline};
	int err = baseline->create(rows, team->threads, &run.self);

	if (err != 0)
		return err;
	*ret_ns = team_run(team, run_work, &run);
	*ret_tally = baseline->finish(run.self);
	baseline->destroy(run.self);
	return 0;
}
