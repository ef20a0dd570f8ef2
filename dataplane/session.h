// A session: what one worker and one worker of another node say to each other. Carries frames and
// messages of many channels, each exactly once and in order, as long as both ends live; what the
// other end's restart means for them is its users' affair. Stepped: time is passed in.
// Thread of everything here: the worker that owns the session.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/congestion.h"
#include "dataplane/session_packet.h"

struct arena;
struct rte_mbuf;
struct rte_mempool;
struct session;

enum { SESSION_WINDOW_MAX = 1024, SESSION_BURST = LINK_BURST };

// What a session tells its user.
struct session_events {
	// Frames that came, in order, their data at the frame's header; the callee's now.
	void (*deliver)(void *context, struct session *s, struct rte_mbuf **frames, uint32_t count);
	void (*message)(void *context, struct session *s, const struct session_message *message);
	// Sent frames of one owner that have come, or are given up because the session begins
	// anew: the owner's again, as before they were sent.
	void (*release)(void *context, void *owner, struct rte_mbuf **frames, uint32_t count);
	// The other end is one not met before: all frames in flight have been released, and all
	// counts begin at 0.
	void (*begin)(void *context, struct session *s);
};

struct session_timing {
	int64_t keepalive_ns, ack_delay_ns, hello_ns;
	int64_t queue_target_ns, rto_min_ns, rto_max_ns; // see congestion.h
};

// Between nodes of one site (docs/transport.md says what each does).
extern const struct session_timing session_site_timing;

struct session_config {
	uint64_t boot;      // this endpoint's; it grows with every start and is never 0
	uint64_t peer_boot; // the least that the other end can have; who greets with less is stale
	bool leads;         // of the two ends' boot numbers this one's enters first
	uint16_t peer_worker; // for links to steer by
	uint32_t index, peer_index;
	uint32_t window;          // packets in flight, and held out of order, at most
	bool frame_crc;           // check that of frames that come, as is right between nodes
	struct rte_mempool *pool; // for the session's own packets; mbufs of the links' packet size
	struct session_timing timing;
	struct link *link;
	uint32_t queue, peer; // of the link
	const struct session_events *events;
	void *context;
};

struct session_stats {
	uint64_t packets_sent, frames_sent, packets_received, frames_received;
	uint64_t resends, probes, timeouts, spurious; // spurious: resends of what was not lost
	uint64_t copies;                              // resends of what a link still held
	uint64_t resets;
	uint64_t dropped[SESSION_DROP_COUNT];
};

enum session_state { SESSION_CLOSED, SESSION_OPENED };

struct session_slot {
	struct rte_mbuf *mbuf; // NULL: acknowledged
	void *owner;           // NULL: the session's own
	int64_t sent_ns;
	uint32_t bytes;    // behind the header
	uint16_t data_off; // of what is behind the header
	uint8_t type;
	uint8_t sends; // 255: at least so many
};

struct session {
	struct session_config config; // boot 0: not started
	bool touched;                 // something happened since it was flushed
	enum session_state state;
	uint64_t peer_boot; // 0: none known
	uint64_t incarnation;
	uint32_t window; // the lesser of both ends'
	int64_t deadline_ns;
	uint64_t progress; // what this worker tells of itself
	struct congestion congestion;

	// Sending. Numbers are kept whole; bits and slots are at number % room.
	uint32_t room; // a power of two
	uint64_t first, next;
	uint32_t acked_count, lost_count; // of [first, next)
	struct session_slot *slots;
	uint64_t *acked, *lost;
	uint64_t delivered_number;              // of the packet sent last of those that have come
	int64_t delivered_ns, delivered_rtt_ns; // when it was sent, and its round trip
	uint32_t reorder_steps, true_losses;    // quarters of a round trip that one may be late
	int64_t reorder_at_ns;                  // INT64_MAX: none may yet turn out to be lost
	int64_t armed_ns;                       // since when an answer is awaited
	int64_t sent_ns;                        // the last numbered packet, and any
	int64_t said_ns;
	int64_t paced_ns;   // from when the next may leave
	int64_t blocked_ns; // pacing held something back until then
	int64_t hello_at_ns;
	bool probed, link_full;
	bool burst_full;     // since the last acknowledgement a burst was cut off by pacing
	uint32_t burst_room; // where pacing would cut off the next; UINT32_MAX: it would not
	bool told, frame_waits;    // the last new packet was messages; a frame found no room
	struct rte_mbuf *messages; // being filled
	uint32_t message_count;
	uint32_t out_count;
	struct rte_mbuf *out[SESSION_BURST];
	uint64_t out_numbers[SESSION_BURST];

	// Receiving.
	uint64_t expected;
	uint64_t beyond; // behind the highest number that has come
	struct rte_mbuf **held;
	uint64_t *came;
	uint32_t held_count, unacked;
	bool ack_now;
	uint32_t echo; // 0: none
	int64_t echo_ns, ack_at_ns;
	int64_t heard_ns; // a good packet
	uint64_t peer_progress;
	int64_t peer_progress_ns; // when it last grew
	uint32_t in_count;
	struct rte_mbuf *in[SESSION_BURST];

	struct session_stats stats;
};

// Bytes of arena that session_create takes.
uint64_t session_bytes(uint32_t window);

// Memory for a session of that window at most.  Returns 0 or -ENOMEM.
int session_create(struct session *s, uint32_t window, struct arena *arena);

// Begin to greet the other end.
void session_start(struct session *s, const struct session_config *config);

// Release everything in hand; it can be started again. Nothing for one that was not started.
void session_stop(struct session *s);

// Take packets, their data at the session's header, at most SESSION_BURST; then hand over the
// frames among them. The session owns them.
void session_receive(struct session *s, struct rte_mbuf **packets, uint32_t count, int64_t now_ns);

// Timers and resends.  Once a step, before anything is sent.
void session_tick(struct session *s, int64_t now_ns);

// Numbered packets that may leave now.
uint32_t session_room(struct session *s, int64_t now_ns);

// Send frames (each mbuf's data at its header, of its length; kept until released to `owner`, not
// NULL), at most as many as session_room allows.
void session_send(struct session *s, struct rte_mbuf **frames, uint32_t count, void *owner,
	int64_t now_ns);

// Tell the other end about a channel.  Returns false when there is no room: later then.
bool session_tell(struct session *s, const struct session_message *message, int64_t now_ns);

// Hand to the link what is to leave, with an acknowledgement if one is due, and work out
// deadline_ns.  Once a step, behind everything else.
void session_flush(struct session *s, int64_t now_ns);

static inline uint32_t session_in_flight(const struct session *s)
{
	return (uint32_t)(s->next - s->first) - s->acked_count - s->lost_count;
}
