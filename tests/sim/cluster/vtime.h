// Virtual time: what is to happen, by time and then by order of asking. Everything in a simulated
// cluster hangs on one of these, whatever layer it belongs to.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vtime_event {
	int64_t at_ns;
	uint64_t order;
	void (*happen)(void *owner, void *argument);
	void *owner, *argument;
};

struct vtime {
	int64_t now_ns;
	uint64_t asked;
	struct vtime_event *heap;
	size_t count, room;
};

void vtime_at(struct vtime *time, int64_t at_ns, void (*happen)(void *owner, void *argument),
	void *owner, void *argument);
// Let the next thing happen, if it is due by `until_ns`.  Returns whether there was one.
bool vtime_next(struct vtime *time, int64_t until_ns);
// What is left is forgotten; arguments are their owners'.
void vtime_destroy(struct vtime *time);
