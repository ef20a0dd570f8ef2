#include "control/pulse.h"

#include <errno.h>
#include <stdlib.h>

#include "control/thread_wait.h"

enum { LOOK_NS = 5000000 }; // between two looks at a thread that stands still

struct pulse_worker {
	uint64_t rounds; // when the progress last grew
	struct thread_wait wait;
};

int pulse_create(struct pulse *p, const struct node *node, uint32_t worker_count)
{
	*p = (struct pulse){.node = node, .worker_count = worker_count};
	p->workers = calloc(worker_count, sizeof(*p->workers));
	return p->workers == NULL ? -ENOMEM : 0;
}

void pulse_destroy(struct pulse *p)
{
	free(p->workers);
	p->workers = NULL;
}

static bool has_gone_round(struct pulse *p, uint32_t worker, int64_t now_ns)
{
	struct pulse_worker *w = &p->workers[worker];
	if (node_rounds(p->node, worker) != w->rounds)
		return true;
	if (now_ns - p->grown_ns >= LOOK_NS && now_ns - w->wait.looked_ns >= LOOK_NS)
		thread_wait_look(&w->wait, node_thread(p->node, worker), now_ns);
	return false;
}

static void grow(struct pulse *p, int64_t now_ns)
{
	for (uint32_t i = 0; i < p->worker_count; i++)
		p->workers[i] = (struct pulse_worker){.rounds = node_rounds(p->node, i)};
	p->progress++;
	p->starved_ns = 0;
	p->grown_ns = now_ns;
}

// Of several that stand still the one counts that waited least for a core: it may hang.
void pulse_look(struct pulse *p, int64_t now_ns)
{
	int64_t starved_ns = INT64_MAX;
	for (uint32_t i = 0; i < p->worker_count; i++)
		if (!has_gone_round(p, i, now_ns) && p->workers[i].wait.waited_ns < starved_ns)
			starved_ns = p->workers[i].wait.waited_ns;
	if (starved_ns == INT64_MAX)
		grow(p, now_ns);
	else
		p->starved_ns = starved_ns;
}
