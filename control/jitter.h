// How unevenly something comes that should come evenly: a smoothed interval and deviation, as TCP
// keeps them for round trips (RFC 6298), and the longest delay, which is forgotten slowly: a
// crowded host is late in bursts that are seconds apart.
// Thread: the owner's.
#pragma once

#include <stdint.h>

struct jitter {
	int64_t interval_ns, deviation_ns; // smoothed
	int64_t delay_ns, delay_at_ns;     // the longest beyond the interval, and when
};

void jitter_begin(struct jitter *jitter, int64_t interval_ns); // forgets the rest
void jitter_note(struct jitter *jitter, int64_t now_ns, int64_t interval_ns);
// A delay that is known of otherwise.
void jitter_delayed(struct jitter *jitter, int64_t now_ns, int64_t delay_ns);

// How long nothing may come before that says anything: between least_ns and most_ns.
int64_t jitter_limit(const struct jitter *jitter, int64_t now_ns, int64_t least_ns,
	int64_t most_ns);
