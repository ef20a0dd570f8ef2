// Followers: how items of a task with a replica, or towards one, are sent (docs/replicas.md). The
// sender puts what is produced into retention; a follower for each instance of the consumer copies
// frames from there as that one's credit allows.
// Thread of everything here: the sending task's worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/credit.h"

struct rte_mempool;
struct arena;

struct follower {
	struct channel *channel;
	uint32_t worker;   // of the plan, the receiving instance's
	bool lost;         // that worker is gone
	bool joins;        // another node has it now, and the new instance has not yet its state
	bool answered;     // the receiver takes this incarnation's frames; next and position hold
	uint64_t next;     // item to send
	uint64_t position; // in retention; of the frame that holds it, or is to
	struct credit credit;
};

// A sender whose items go by `followers`, of channels that are created; `channel` is the first's.
// The frames of all have the size of the smallest.  Returns 0 or -ENOMEM.
int sender_create_followed(struct sender *s, struct follower *followers, uint32_t count,
	struct arena *arena);

// Send under `incarnation` from now on: receivers are asked from where.
void sender_open(struct sender *s, uint64_t incarnation);

// Send what may be sent. Once a step.  Returns the frames sent.
uint32_t sender_follow(struct sender *s);

// Forget what all receivers that are left have consumed.
void sender_forget(struct sender *s);

// The receivers on that worker of the plan are gone; or another node has them now: until they have
// their state and say what they need, all is kept for them.
void sender_lose(struct sender *s, uint32_t worker);
void sender_admit(struct sender *s, uint32_t worker);

// Does a receiver there not yet have its state? And is it why there is no room in retention?
bool sender_is_joined(const struct sender *s, uint32_t worker);
bool sender_is_held_up(const struct sender *s, uint32_t worker);

// All receivers that are left and have their state have been sent everything.
bool sender_has_sent(const struct sender *s);
