// The messages of ARP (RFC 826, probes and announcements as in RFC 5227) and neighbour discovery
// (RFC 4861, NS and NA), read and written.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet.h"

enum message_kind {
	MESSAGE_REQUEST,  // who has `about`?
	MESSAGE_ANSWER,   // written: to `about`, that we have our address
	MESSAGE_ANNOUNCE, // to all: the sender has its address
};

struct message_parts {
	enum message_kind kind;
	bool to_one;   // written: to `to_mac` alone
	bool is_probe; // read: the sender has no address yet
	struct packet_address about;
	struct packet_address from; // read: who has `from_mac`
	uint8_t from_mac[PACKET_MAC_BYTES];
	uint8_t to_mac[PACKET_MAC_BYTES];
};

// Write the frame of a message to `out` (NEIGHBOUR_MESSAGE_MAX bytes).  Returns its length.
uint32_t message_write(uint8_t *out, const struct packet_local *local,
	const struct message_parts *parts);

// Read a whole frame that packet_parse called ARP, or ND with `six`. Never reads beyond `bytes`.
// Returns PACKET_DROP_COUNT, _NEIGHBOUR when malformed, _PROTOCOL for other ICMPv6.
enum packet_drop neighbour_message_read(const uint8_t *frame, uint32_t bytes, bool six,
	struct message_parts *ret_parts);
