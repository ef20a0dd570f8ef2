#include "tests/sim/cluster/vtime.h"

#include <stdlib.h>

#include "numa/assert.h"

static bool before(const struct vtime_event *a, const struct vtime_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void vtime_at(struct vtime *t, int64_t at_ns, void (*happen)(void *owner, void *argument),
	void *owner, void *argument)
{
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 256;
		t->heap = realloc(t->heap, t->room * sizeof(*t->heap));
		VERIFY(t->heap);
	}
	struct vtime_event event = {
		at_ns < t->now_ns ? t->now_ns : at_ns, t->asked++, happen, owner, argument};
	size_t at = t->count++;
	for (; at > 0 && before(&event, &t->heap[(at - 1) / 2]); at = (at - 1) / 2)
		t->heap[at] = t->heap[(at - 1) / 2];
	t->heap[at] = event;
}

static struct vtime_event take_first(struct vtime *t)
{
	struct vtime_event first = t->heap[0], last = t->heap[--t->count];
	size_t at = 0;
	for (;;) {
		size_t child = 2 * at + 1;
		if (child + 1 < t->count && before(&t->heap[child + 1], &t->heap[child]))
			child++;
		if (child >= t->count || !before(&t->heap[child], &last))
			break;
		t->heap[at] = t->heap[child];
		at = child;
	}
	t->heap[at] = last;
	return first;
}

bool vtime_next(struct vtime *t, int64_t until_ns)
{
	if (t->count == 0 || t->heap[0].at_ns > until_ns) {
		t->now_ns = until_ns;
		return false;
	}
	struct vtime_event event = take_first(t);
	t->now_ns = event.at_ns;
	event.happen(event.owner, event.argument);
	return true;
}

void vtime_destroy(struct vtime *t)
{
	free(t->heap);
	*t = (struct vtime){0};
}
