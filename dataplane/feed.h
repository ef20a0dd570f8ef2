// The state of a task on its way to a new instance of it (docs/replicas.md, "A new replica"): the
// owner's snapshot goes over the channel of its log in frames of type STATE, before the log.
// Thread of everything here: the task's worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/loan.h"

struct replica;

enum feed_stage {
	FEED_NONE,
	FEED_ASKED, // owner: to be taken as soon as there is memory and the chain is drained
	FEED_STATE, // it is being sent
	FEED_LOG,   // the new instance has to restore it, and to take the log
	FEED_GATED, // items wait again until their log is held; some that went before do not
	FEED_DONE   // nothing is out there that the new instance could not account for
};

struct feed {
	enum feed_stage stage;
	const char *failure; // why there will be none; NULL
	uint64_t bytes, at;  // of the state, and of that sent or taken; 0: not known yet
	uint64_t gated_at;   // the log's end when gating began again
	uint64_t *numbers;   // by sender: its items below were made before the snapshot
};

// Owner: send of the state, in r->loan, what credit allows.  Returns the frames sent.
uint32_t feed_send(struct replica *r);
static inline bool feed_is_sent(const struct feed *f)
{
	return f->at == f->bytes;
}

// New instance: take what has come, into memory that it asks for.  Returns the frames taken; the
// state is whole once feed_is_whole says so.
uint32_t feed_take(struct replica *r);
static inline bool feed_is_whole(const struct feed *f)
{
	return f->bytes != 0 && f->at == f->bytes;
}
