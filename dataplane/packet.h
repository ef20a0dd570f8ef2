// Packets on the wire: Ethernet, IPv4 or IPv6, UDP around a session packet. Sending copies a header
// made beforehand; receiving trusts nothing. RFC 791, 768, 8200, 6864 (IPv4 without fragments).
// The UDP checksum: over IPv6 always (RFC 8200 demands it), over IPv4 where the port works it out,
// else 0 (RFC 768 allows it): sessions check every packet end to end by themselves.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	PACKET_MAC_BYTES = 6,
	PACKET_ETHER_BYTES = 14,
	PACKET_UDP_BYTES = 8,
	PACKET_IPV4_HEADERS = 42, // Ethernet, IPv4 without options, UDP
	PACKET_IPV6_HEADERS = 62,
	PACKET_MTU_MIN = 1280, // RFC 8200, and enough for a frame's header and records
};

#define PACKET_DROPS(X)                                                                            \
	X(SEGMENTED, "segmented")           /* more than one mbuf */                               \
	X(SHORT, "short")                   /* ends before its headers do */                       \
	X(VLAN, "vlan")                     /* tagged */                                           \
	X(ETHER_TYPE, "ether_type")         /* neither IPv4, IPv6 nor ARP */                       \
	X(MAC, "mac")                       /* sent to another station */                          \
	X(IP_HEADER, "ip_header")           /* wrong version, header length or total length */     \
	X(IP_OPTIONS, "ip_options")         /* options, or extension headers */                    \
	X(IP_FRAGMENT, "ip_fragment")       /* a fragment */                                       \
	X(IP_CHECKSUM, "ip_checksum")       /* the IPv4 header's does not match */                 \
	X(IP_SOURCE, "ip_source")           /* from an address that no single host has */          \
	X(IP_DESTINATION, "ip_destination") /* to another address */                               \
	X(PROTOCOL, "protocol")             /* not UDP */                                          \
	X(UDP_LENGTH, "udp_length")         /* does not fit what IP says */                        \
	X(UDP_PORT, "udp_port")             /* to a port that is not this node's */                \
	X(UDP_CHECKSUM, "udp_checksum")     /* does not match, or is missing over IPv6 */          \
	X(EMPTY, "empty")                   /* nothing behind the headers */                       \
	X(NEIGHBOUR, "neighbour")           /* ARP or neighbour discovery that is malformed */     \
	X(NEIGHBOUR_BUSY, "neighbour_busy") /* the same, more than are looked at */                \
	X(NO_BUFFER, "no_buffer")           /* a copy was needed and the pool is empty */

enum packet_drop {
#define X(id, name) PACKET_DROP_##id,
	PACKET_DROPS(X)
#undef X
		PACKET_DROP_COUNT
};

extern const char *const packet_drop_names[PACKET_DROP_COUNT];

struct packet_address {
	uint8_t bytes[16]; // IPv4: the first four, the rest 0
	bool six;
};

// Who a port is, for the parser.
struct packet_local {
	uint8_t mac[PACKET_MAC_BYTES];
	struct packet_address address;
	uint16_t port_first, port_count; // UDP ports that are its
};

enum packet_kind { PACKET_SESSION, PACKET_ARP, PACKET_ND };

struct packet_view {
	enum packet_kind kind;
	uint32_t offset; // SESSION: of the UDP payload, and its length; else of the whole frame
	uint32_t bytes;
};

// What a port has checked already.
enum { PACKET_IP_CHECKED = 1, PACKET_UDP_CHECKED = 2 };

// Where a packet goes; the template is made of it.
struct packet_flow {
	struct packet_address from, to;
	uint8_t from_mac[PACKET_MAC_BYTES];
	uint16_t from_port, to_port;
};

// A header made beforehand: copied in front of a packet, then its lengths are filled in.
struct packet_template {
	uint8_t header[PACKET_IPV6_HEADERS];
	uint8_t bytes;       // of the header
	bool six;            // IPv6
	uint16_t pseudo_sum; // of the UDP pseudo header without the length, folded
	uint32_t ip_sum;     // of the IPv4 header without total length and checksum
};

enum packet_checksum {
	PACKET_CHECKSUM_NONE,     // 0 in the packet, IPv4 only
	PACKET_CHECKSUM_OFFLOAD,  // the pseudo header's sum, for the port to go on from
	PACKET_CHECKSUM_SOFTWARE, // worked out here
};

void packet_template_init(struct packet_template *t, const struct packet_flow *flow);

// Write the header in front of `payload` (t->bytes before it) with the station's MAC.
void packet_write(const struct packet_template *t, const uint8_t mac[PACKET_MAC_BYTES],
	uint8_t *payload, uint32_t bytes, enum packet_checksum checksum);

// Check a received frame; `checked` says what the port did (PACKET_…_CHECKED). Never reads beyond
// `bytes`.  Returns PACKET_DROP_COUNT when it is good, else the reason to drop it.
enum packet_drop packet_parse(const struct packet_local *local, const uint8_t *data, uint32_t bytes,
	uint32_t checked, struct packet_view *ret_view);

// The Internet checksum (RFC 1071) of a UDP datagram or ICMPv6 message with its pseudo header.
// Returns it as it goes into the packet; 0xffff for 0 where that means "none".
uint16_t packet_checksum6(const uint8_t from[16], const uint8_t to[16], uint8_t protocol,
	const uint8_t *message, uint32_t bytes);

static inline uint32_t packet_header_bytes(bool six)
{
	return six ? PACKET_IPV6_HEADERS : PACKET_IPV4_HEADERS;
}

bool packet_address_equal(const struct packet_address *a, const struct packet_address *b);

// Whether a single host can have it: not unspecified, loopback, multicast or broadcast.
bool packet_address_is_host(const struct packet_address *a);

// Whether both lie in one network of `prefix` bits.
bool packet_address_near(const struct packet_address *a, const struct packet_address *b,
	uint32_t prefix);
