// How fast a session may send: round-trip times (RFC 6298), and a window of packets steered by
// delay as Swift (SIGCOMM 2020) and TIMELY (SIGCOMM 2015) do, paced. Loss slows it only where
// delay agrees or where it is more than chance, so that a lossy fabric does not stop a session.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct congestion_config {
	uint32_t window_max;     // packets
	int64_t queue_target_ns; // delay above the least that a session may cause
	int64_t rto_min_ns, rto_max_ns;
	int64_t ack_delay_ns; // the peer's, at most
};

struct congestion {
	struct congestion_config config;
	double window;                 // packets that may be in flight
	double kept;                   // the window to go back to after a drain
	int64_t srtt_ns, deviation_ns; // 0: none measured yet
	int64_t least_ns[2];           // round-trip time of this stretch and of the one before
	int64_t stretch_end_ns, drain_at_ns;
	int64_t pace_ns; // between two packets
	uint32_t backoff;
	bool filled;                // the window was in the way in the last round
	bool ramping;               // until the first delay: doubles every round
	uint32_t draining, waiting; // rounds still to drain; to wait for what a decrease does
	uint32_t rises;             // rounds in a row
	// The round under way.
	uint64_t round_end; // when this number is acknowledged
	int64_t round_least_ns;
	uint32_t round_acked;
	bool round_limited;     // the window was in the way
	uint32_t counted, lost; // packets, and of them lost, since loss was judged last
};

void congestion_create(struct congestion *c, const struct congestion_config *config);

// The session begins anew: nothing measured holds any more.
void congestion_restart(struct congestion *c);

// A round trip was measured.
void congestion_sample(struct congestion *c, int64_t rtt_ns, int64_t now_ns);

// `acked` more packets have come; `first` is the lowest number not acknowledged, `next` the next to
// be sent, `limited` whether the window was in the way.
void congestion_advance(struct congestion *c, uint32_t acked, uint64_t first, uint64_t next,
	bool limited);

// One more packet is taken as lost, or one that was has come after all.
void congestion_lost(struct congestion *c, bool after_all);

// No answer at all for congestion_rto_ns.
void congestion_timeout(struct congestion *c);

int64_t congestion_rto_ns(const struct congestion *c);

// The least round trip of late; 0: none measured yet.
int64_t congestion_least_ns(const struct congestion *c);
