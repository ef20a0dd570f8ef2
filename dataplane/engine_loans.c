// Memory that tasks ask for: the agent's side of loans, and an engine's.
#include <string.h>
#include <sys/mman.h>

#include "dataplane/engine_parts.h"
#include "numa/assert.h"

enum {
	PAGE_BYTES = 4096,
	SERVED_BYTES = 4 << 20, // at a time: a few milliseconds
};

// Give some of what there is back to the system.  Returns the bytes.
static size_t some_unmap(struct loan *l, size_t most)
{
	size_t part = l->room < most ? l->room : most;
	l->room -= part;
	if (part != 0)
		VERIFY(munmap(l->data + l->room, part) == 0);
	if (l->room == 0)
		l->data = NULL;
	return part;
}

static void map(struct loan *l)
{
	size_t room = (l->bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	l->touched = l->room = 0;
	if (room == 0 || room < l->bytes)
		return;
	void *data = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return;
	l->data = data;
	l->room = room;
}

// Touched here, so that the worker does not wait for pages.
static size_t some_touch(struct loan *l, size_t most)
{
	size_t left = l->room - l->touched, part = left < most ? left : most;
	if (part != 0)
		memset(l->data + l->touched, 0, part);
	l->touched += part;
	return part;
}

size_t loan_serve(struct loan *l, size_t most)
{
	uint32_t asked = atomic_load_explicit(&l->asked, memory_order_acquire);
	size_t did = 0;
	if (asked == atomic_load_explicit(&l->given, memory_order_relaxed))
		return 0;
	if (l->mapped != asked) {
		did = some_unmap(l, most);
		if (l->room != 0)
			return did;
		map(l);
		l->mapped = asked;
	}
	did += some_touch(l, most - did);
	if (l->touched == l->room)
		atomic_store_explicit(&l->given, asked,
			memory_order_release); // pairs loan_is_settled
	return did;
}

void loan_destroy(struct loan *l)
{
	some_unmap(l, SIZE_MAX);
}

void engine_serve_loans(struct engine *e)
{
	size_t left = SERVED_BYTES;
	for (uint32_t t = 0; t < e->task_count && e->config.plan->hot; t++)
		if (engine_owns(e, t))
			left -= loan_serve(&e->tasks[t].replica.loan, left);
}

void engine_end_loans(struct engine *e)
{
	for (uint32_t t = 0; t < e->task_count; t++)
		loan_destroy(&e->tasks[t].replica.loan);
}
