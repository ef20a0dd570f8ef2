// Memory that the agent lends a task while it needs it, as for a snapshot: tasks allocate nothing.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loan {
	// Task: from when it is given until it asks.
	size_t bytes; // that it asked for; 0: none
	// Agent: from when it is asked until it gives.
	uint8_t *data;          // NULL: there is no such memory
	size_t room, touched;   // bytes of it, and of those that have their pages
	uint32_t mapped;        // the request that it is mapped for
	_Atomic uint32_t asked; // task: requests made (release); agent: acquire
	_Atomic uint32_t given; // agent: requests answered (release); task: acquire
};

// Is there no request that the agent has yet to answer?  Thread: the task's.
static inline bool loan_is_settled(const struct loan *l)
{
	return atomic_load_explicit(&l->given, memory_order_acquire) ==
		atomic_load_explicit(&l->asked, memory_order_relaxed);
}

// Ask for so much instead of what there is; 0: give that back. It must be settled, and nothing of
// what there is may be used any more.  Thread: the task's.
void loan_ask(struct loan *l, size_t bytes);

// Go on with what is asked for: give back or get at most so many bytes, since the agent has other
// things to do.  Returns the bytes.  Thread: agent, any rate.
size_t loan_serve(struct loan *l, size_t most);
void loan_destroy(struct loan *l); // Thread: agent, when no worker runs.
