// What `weir status` says of a job's parts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/cluster_show.h"

// A job of nodes a and b; all tasks are on a, b has replicas only.
struct fixture {
	Weir__OperatorFigures figures[2];
	Weir__OperatorFigures *figure_list[2];
	Weir__Part parts[2];
	Weir__Part *part_list[2];
	Weir__Participant participants[2];
	Weir__Participant *participant_list[2];
	Weir__JobRecord record;
	Weir__JobStatus job;
	Weir__JobStatus *job_list[1];
	Weir__Reply reply;
};

static void fixture_fill(struct fixture *f)
{
	static char names[2][2] = {"a", "b"};
	f->record = (Weir__JobRecord)WEIR__JOB_RECORD__INIT;
	f->job = (Weir__JobStatus)WEIR__JOB_STATUS__INIT;
	f->reply = (Weir__Reply)WEIR__REPLY__INIT;
	for (uint32_t i = 0; i < 2; i++) {
		f->figures[i] = (Weir__OperatorFigures)WEIR__OPERATOR_FIGURES__INIT;
		f->figures[i].id = "source";
		f->figures[i].kind = "nexmark";
		f->figures[i].tasks = 1 - i;
		f->figure_list[i] = &f->figures[i];
		f->parts[i] = (Weir__Part)WEIR__PART__INIT;
		f->parts[i].participant = i;
		f->parts[i].state = WEIR__PART_STATE__PART_RUNNING;
		f->parts[i].n_operators = 1;
		f->parts[i].operators = &f->figure_list[i];
		f->part_list[i] = &f->parts[i];
		f->participants[i] = (Weir__Participant)WEIR__PARTICIPANT__INIT;
		f->participants[i].node = names[i];
		f->participants[i].workers = 1;
		f->participant_list[i] = &f->participants[i];
	}
	f->record.id = "q5-1";
	f->record.state = WEIR__JOB_STATE__JOB_RUNNING;
	f->record.n_participants = f->job.n_parts = 2;
	f->record.participants = f->participant_list;
	f->job.record = &f->record;
	f->job.parts = f->part_list;
	f->job_list[0] = &f->job;
	f->reply.n_jobs = 1;
	f->reply.jobs = f->job_list;
}

static void assert_shown(const struct fixture *f, const char *line, int count)
{
	char *text = NULL;
	size_t bytes = 0;
	int found = 0;
	FILE *out = open_memstream(&text, &bytes);
	show_job(&f->reply, out);
	fclose(out);
	for (const char *at = text; (at = strstr(at, line)); at += strlen(line))
		found++;
	if (found != count)
		fail_msg("%d times, not %d: %s in\n%s", found, count, line, text);
	free(text);
}

static void figures_have_a_head(void **state)
{
	struct fixture f;
	fixture_fill(&f);
	assert_shown(&f, "node a, 1 worker: running\n  operator ", 1);
	assert_shown(&f, " operator ", 1);
	assert_shown(&f, "  source ", 1);
}

static void replicas_are_said(void **state)
{
	struct fixture f;
	fixture_fill(&f);
	assert_shown(&f, "node b, 1 worker: running, no tasks but replicas\n", 1);
}

static void what_has_ended_does_not_run(void **state)
{
	struct fixture f;
	fixture_fill(&f);
	f.record.state = WEIR__JOB_STATE__JOB_CANCELLED;
	assert_shown(&f, ": running", 0);
	assert_shown(&f, "node a, 1 worker: ended while running\n", 1);
	f.parts[0].state = WEIR__PART_STATE__PART_PUBLISHED;
	assert_shown(&f, "node a, 1 worker: published\n", 1);
	f.parts[0].state = WEIR__PART_STATE__PART_FAILED;
	f.parts[0].error = "full";
	assert_shown(&f, "node a, 1 worker: failed: full\n", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_have_a_head),
		cmocka_unit_test(replicas_are_said),
		cmocka_unit_test(what_has_ended_does_not_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
