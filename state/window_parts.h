// What the files of windows share; nobody else includes it.
#pragma once

#include "state/window.h"

// Open a pane at this place among the open ones.  Returns 0 or -ENOMEM.
int window_pane_insert(struct window *w, uint32_t at, int64_t number);

// Which of the ring's panes a pane is.
static inline uint32_t window_place(const struct window *w, int64_t number)
{
	int64_t at = number % w->panes;
	return (uint32_t)(at < 0 ? at + w->panes : at);
}
