// Session packets: what one worker sends another over a link. A header of 64 bytes, then one frame,
// messages about channels, a greeting, or a longer acknowledgement (docs/transport.md).
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/link.h"

enum {
	SESSION_VERSION = 2,
	SESSION_HEADER_BYTES = 64,
	SESSION_HEADROOM = SESSION_HEADER_BYTES + LINK_HEADROOM, // before a frame, in its mbuf
	SESSION_STAMP_SHIFT = 6,                                 // stamps count 64 ns
};

enum session_type {
	SESSION_HELLO = 1, // who greets, and whom it knows; answered by HELLO_ACK
	SESSION_HELLO_ACK,
	SESSION_ACK,      // unnumbered; the rest of the selective acknowledgement
	SESSION_FRAME,    // numbered
	SESSION_MESSAGES, // numbered
	SESSION_TYPE_LIMIT
};

// Little-endian, as it lies in the packet; links put it at any even address.
struct session_header {
	uint8_t version;
	uint8_t type;
	uint16_t worker;      // the destination's; links steer by it
	uint32_t session;     // the destination's index of it
	uint64_t incarnation; // of the session: both ends' boot numbers
	uint32_t number;      // of a numbered packet, its low 32 bits
	uint32_t ack;         // all below have come
	uint64_t sack;        // bit i: number ack + 1 + i has come
	uint32_t stamp;       // the sender's time, in 64 ns
	uint32_t echo;        // the last stamp that came, plus how long ago that was
	uint64_t progress;    // grows as long as the sending worker works
	uint32_t length;      // of what follows
	uint32_t reserved;    // 0
	uint32_t key_id;      // 0; reserved for authenticated packets
	uint32_t crc32c;      // of what is before it, and of what follows unless that is a frame
} __attribute__((packed, aligned(2)));
static_assert(sizeof(struct session_header) == SESSION_HEADER_BYTES, "pinned");

struct session_greeting {
	uint64_t boot;     // the sender's
	uint64_t peer;     // the boot number it knows of the receiver; 0: none
	uint32_t window;   // it holds so many packets out of order
	uint32_t reserved; // 0
} __attribute__((packed, aligned(2)));

enum session_message_kind { MESSAGE_OPEN = 1, MESSAGE_GRANT, MESSAGE_KIND_LIMIT };

// About a channel; all values are absolute, so that a later one makes an earlier one needless.
struct session_message {
	uint32_t kind;
	uint32_t job, channel, plan_version;
	uint64_t data_limit, control_limit; // frames that may be sent since the session began
	uint64_t snapshot_number;           // items below it are never needed again
	uint64_t wanted;                    // the item the receiving task expects next
	// OPEN: the incarnation the sending task sends under, 0: it stands by. GRANT: the one whose
	// frames the receiving task takes, and the item it wanted next when it began to.
	uint64_t incarnation, from;
} __attribute__((packed, aligned(2)));
static_assert(sizeof(struct session_message) == 64, "pinned");

enum { SESSION_MESSAGES_MAX = 16 };

#define SESSION_DROPS(X)                                                                           \
	X(SHORT, "packet_short")             /* shorter than its header, or than it says */        \
	X(LENGTH, "packet_length")           /* longer than it says, or wrong for its type */      \
	X(VERSION, "packet_version")         /* unknown version or type, or not 0 where it must */ \
	X(CHECKSUM, "packet_checksum")       /* its CRC32C does not match */                       \
	X(MISDIRECTED, "packet_misdirected") /* for another worker, or no session of this one */   \
	X(STALE, "packet_stale")       /* a greeting of an endpoint that has since begun anew */   \
	X(NOT_OPEN, "packet_not_open") /* before the handshake */                                  \
	X(FENCED, "packet_fenced")     /* of another incarnation of the session */                 \
	X(ACK, "packet_ack")           /* acknowledges what was never sent */                      \
	X(REPEATED, "packet_repeated") /* has come before */                                       \
	X(WINDOW, "packet_window")     /* further ahead than the window */                         \
	X(FRAME, "packet_frame")       /* its frame is mis-sized or its CRC32C wrong */            \
	X(MESSAGE, "packet_message")   /* a message of no known kind */                            \
	X(CHANNEL, "frame_unknown_channel") /* for a channel that does not end here */             \
	X(CREDIT, "frame_over_credit")      /* sent without credit */                              \
	X(NO_MBUF, "no_mbuf")               /* an own packet not sent: the pool was empty */

enum session_drop {
#define X(id, name) SESSION_DROP_##id,
	SESSION_DROPS(X)
#undef X
		SESSION_DROP_COUNT
};

extern const char *const session_drop_names[SESSION_DROP_COUNT];

// A frame has a CRC of its own, made once; so a resend costs no second walk over it.
uint32_t session_packet_crc(const struct session_header *h);

// Check everything about a packet of `bytes` that needs no session, but for its frame's CRC; never
// reads beyond them.  Returns SESSION_DROP_COUNT when it is good, else the reason to drop it.
enum session_drop session_packet_check(const void *packet, uint32_t bytes);

// What is known of a packet before its session is asked.
struct session_verdict {
	enum session_drop reason; // SESSION_DROP_COUNT: none to drop it
	bool frame_good;          // the CRC of its frame matches; true for what has none
};

// Check a burst of at most LINK_BURST whole, with their frames' CRCs too where `frame_crc`.
void session_packet_judge(struct rte_mbuf *const *packets, uint32_t count, bool frame_crc,
	struct session_verdict *ret_verdicts);

// What two boot numbers make; the leader's first.
uint64_t session_incarnation(uint64_t leader_boot, uint64_t other_boot);
