// The control plane's event loop: libevent, Weir's clock, and the signals that end a process. What
// is stepped in it is called after every batch of events and at the deadline it asked for.
// Thread: one loop, one thread; a process has at most one, since signals are the process's.
#pragma once

#include <stdint.h>

struct event_base;
struct loop;

enum { LOOP_STEPS_MAX = 16 };

// SIGPIPE is ignored from here on; SIGTERM and SIGINT end loop_run.  Returns 0 or -errno.
int loop_create(struct loop **ret_loop);
void loop_destroy(struct loop *loop);

struct event_base *loop_base(struct loop *loop);

// From now on call `step` with the time; it returns its next deadline, INT64_MAX for none.
// Returns 0, or -ENOSPC beyond LOOP_STEPS_MAX.
int loop_add(struct loop *loop, int64_t (*step)(void *owner, int64_t now_ns), void *owner);

// Run until loop_stop (returns 0) or a signal (returns its number). May be called again, say to
// drain after a signal.
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
