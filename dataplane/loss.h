// What the agent tells the workers of a job of places that are lost, and held by another node
// since, and what workers say they made of it.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Of a worker of the plan. It is lost while `losses` is more than `admissions`. Written by the
// agent, in the order of engine_lose and engine_admit; workers read admissions before losses
// (acquire).
struct loss {
	_Atomic uint64_t incarnation; // under which its tasks are taken over
	_Atomic bool alone;           // nothing names its instances successors any more
	_Atomic uint32_t losses;      // times it was lost
	_Atomic uint32_t admissions;  // of them, those after which another node has it
	_Atomic uint32_t feeds;       // the admission whose tasks are to be given their state
	// Of the last admission: how to reach the worker.
	_Atomic uint64_t boot;
	_Atomic uint32_t peer;
	_Atomic uint16_t number;
};

struct losses {
	_Atomic uint32_t count; // of times they changed (release; workers: acquire)
	uint32_t workers;
	struct loss *of; // by worker of the plan
};

// The losses that a worker has acted on, each under the incarnation that the order named, which
// tells it from others of the place. Its tasks read them.
struct told_loss {
	uint64_t incarnation; // 0: none
	uint64_t number;      // of all that were not written when it was told, from 1; 0: it was
};

struct told_losses {
	uint32_t workers;
	uint64_t count;       // of those not written
	struct told_loss *of; // by worker of the plan: the last one
};

static inline bool told_losses_have(const struct told_losses *told, uint32_t worker,
	uint64_t incarnation)
{
	return worker < told->workers && told->of[worker].incarnation >= incarnation;
}

// What one worker made of it: written by the worker, `shown` and `failure` read by the agent
// (release, acquire).
struct heeded {
	uint32_t losses, admitted; // counts that it has acted on
	bool fed;                  // its tasks were told to give their state
	bool given_up;             // it does as if the place was lost again
	_Atomic uint32_t admitted_shown;
	_Atomic uint32_t repaired_shown; // the admission that its tasks can do without it again
	_Atomic(const char *) failure;   // why it has given up; NULL
};
