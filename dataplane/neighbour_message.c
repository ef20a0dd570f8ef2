#include "dataplane/neighbour_message.h"

#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <string.h>

#include "dataplane/neighbour.h"

enum {
	ND_SOLICIT = 135,
	ND_ADVERTISE = 136,
	ND_BYTES = 24,    // of the ICMPv6 message without options
	OPTION_BYTES = 8, // of one with a MAC
	OPTION_SOURCE = 1,
	OPTION_TARGET = 2,
	ADVERTISE_SOLICITED = 0x40,
	ADVERTISE_OVERRIDE = 0x20,
	HOP_LIMIT = 255, // what no router has passed on
	ARP_FRAME_BYTES = 42,
	ND_FRAME_BYTES = PACKET_ETHER_BYTES + 40 + ND_BYTES + OPTION_BYTES,
};
static_assert((int)ND_FRAME_BYTES == (int)NEIGHBOUR_MESSAGE_MAX, "the longest message");
static_assert(PACKET_ETHER_BYTES + sizeof(struct rte_arp_hdr) == ARP_FRAME_BYTES, "pinned");

struct nd_message {
	uint8_t type, code;
	uint16_t checksum;
	uint8_t flags, reserved[3];
	uint8_t target[16];
	uint8_t option, option_eighths, mac[PACKET_MAC_BYTES];
};
static_assert(sizeof(struct nd_message) == ND_BYTES + OPTION_BYTES, "pinned");

static const uint8_t to_all_mac[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};

static bool mac_is_station(const uint8_t mac[PACKET_MAC_BYTES])
{
	static const uint8_t zeros[PACKET_MAC_BYTES];
	return (mac[0] & 1) == 0 && memcmp(mac, zeros, PACKET_MAC_BYTES) != 0;
}

static uint8_t *ether_write(uint8_t *out, const struct packet_local *local, const uint8_t *to,
	uint16_t type)
{
	struct rte_ether_hdr ether = {.ether_type = rte_cpu_to_be_16(type)};
	memcpy(&ether.dst_addr, to, PACKET_MAC_BYTES);
	memcpy(&ether.src_addr, local->mac, PACKET_MAC_BYTES);
	memcpy(out, &ether, sizeof(ether));
	return out + sizeof(ether);
}

// ---- ARP

static uint32_t arp_write(uint8_t *out, const struct packet_local *local,
	const struct message_parts *parts)
{
	bool answer = parts->kind == MESSAGE_ANSWER;
	struct rte_arp_hdr arp = {.arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER),
		.arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = PACKET_MAC_BYTES,
		.arp_plen = 4,
		.arp_opcode = rte_cpu_to_be_16(answer ? RTE_ARP_OP_REPLY : RTE_ARP_OP_REQUEST)};
	const struct packet_address *about =
		parts->kind == MESSAGE_ANNOUNCE ? &local->address : &parts->about;
	memcpy(&arp.arp_data.arp_sha, local->mac, PACKET_MAC_BYTES);
	memcpy(&arp.arp_data.arp_sip, local->address.bytes, 4);
	memcpy(&arp.arp_data.arp_tip, about->bytes, 4);
	if (answer)
		memcpy(&arp.arp_data.arp_tha, parts->to_mac, PACKET_MAC_BYTES);
	uint8_t *at = ether_write(out, local, parts->to_one ? parts->to_mac : to_all_mac,
		RTE_ETHER_TYPE_ARP);
	memcpy(at, &arp, sizeof(arp));
	return ARP_FRAME_BYTES;
}

static enum packet_drop arp_read(const uint8_t *frame, uint32_t bytes, struct message_parts *parts)
{
	struct rte_arp_hdr arp;
	if (bytes < ARP_FRAME_BYTES)
		return PACKET_DROP_NEIGHBOUR;
	memcpy(&arp, frame + PACKET_ETHER_BYTES, sizeof(arp));
	uint16_t op = rte_be_to_cpu_16(arp.arp_opcode);
	memcpy(parts->from_mac, &arp.arp_data.arp_sha, PACKET_MAC_BYTES);
	memcpy(parts->from.bytes, &arp.arp_data.arp_sip, 4);
	memcpy(parts->about.bytes, &arp.arp_data.arp_tip, 4);
	parts->is_probe = arp.arp_data.arp_sip == 0;
	if (arp.arp_hardware != rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) ||
		arp.arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
		arp.arp_hlen != PACKET_MAC_BYTES || arp.arp_plen != 4 ||
		(op != RTE_ARP_OP_REQUEST && op != RTE_ARP_OP_REPLY) ||
		!mac_is_station(parts->from_mac) ||
		!(parts->is_probe || packet_address_is_host(&parts->from)))
		return PACKET_DROP_NEIGHBOUR;
	parts->kind = packet_address_equal(&parts->from, &parts->about) ? MESSAGE_ANNOUNCE
		: op == RTE_ARP_OP_REQUEST                              ? MESSAGE_REQUEST
									: MESSAGE_ANSWER;
	return PACKET_DROP_COUNT;
}

// ---- neighbour discovery

// Where an NS or NA goes, as IPv6 address and as MAC.
static void nd_direct(const struct message_parts *parts, uint8_t to[16], uint8_t mac[6])
{
	static const uint8_t solicited_node[13] = {0xff, 2, [11] = 1, [12] = 0xff};
	memcpy(to, parts->kind == MESSAGE_ANNOUNCE ? all_nodes : parts->about.bytes, 16);
	memcpy(mac, parts->to_mac, PACKET_MAC_BYTES);
	if (parts->kind == MESSAGE_REQUEST && !parts->to_one)
		memcpy(to, solicited_node, sizeof(solicited_node));
	if (to[0] == 0xff) {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, to + 12, 4);
	}
}

static uint32_t nd_write(uint8_t *out, const struct packet_local *local,
	const struct message_parts *parts)
{
	bool request = parts->kind == MESSAGE_REQUEST;
	uint8_t mac[PACKET_MAC_BYTES];
	struct rte_ipv6_hdr ip = {.vtc_flow = rte_cpu_to_be_32(6 << 28),
		.payload_len = rte_cpu_to_be_16(sizeof(struct nd_message)),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = HOP_LIMIT};
	struct nd_message nd = {.type = request ? ND_SOLICIT : ND_ADVERTISE,
		.flags = request ? 0 : ADVERTISE_OVERRIDE,
		.option = request ? OPTION_SOURCE : OPTION_TARGET,
		.option_eighths = 1};
	if (parts->kind == MESSAGE_ANSWER)
		nd.flags |= ADVERTISE_SOLICITED;
	memcpy(nd.target, request ? parts->about.bytes : local->address.bytes, 16);
	memcpy(nd.mac, local->mac, PACKET_MAC_BYTES);
	memcpy(ip.src_addr, local->address.bytes, 16);
	nd_direct(parts, ip.dst_addr, mac);
	nd.checksum = packet_checksum6(ip.src_addr, ip.dst_addr, IPPROTO_ICMPV6,
		(const uint8_t *)&nd, sizeof(nd));
	uint8_t *at = ether_write(out, local, mac, RTE_ETHER_TYPE_IPV6);
	memcpy(at, &ip, sizeof(ip));
	memcpy(at + sizeof(ip), &nd, sizeof(nd));
	return ND_FRAME_BYTES;
}

// Find the option with a MAC.  Returns false when the options are malformed.
static bool nd_options(const uint8_t *at, uint32_t bytes, uint8_t wanted, uint8_t mac[6])
{
	while (bytes > 0) {
		if (bytes < OPTION_BYTES || at[1] == 0 || at[1] * 8u > bytes)
			return false;
		if (at[0] == wanted)
			memcpy(mac, at + 2, PACKET_MAC_BYTES);
		bytes -= at[1] * 8u;
		at += at[1] * 8u;
	}
	return true;
}

static enum packet_drop nd_read(const uint8_t *frame, uint32_t bytes, struct message_parts *parts)
{
	static const uint8_t unspecified[16];
	struct rte_ipv6_hdr ip;
	if (bytes < PACKET_ETHER_BYTES + sizeof(ip) + ND_BYTES)
		return PACKET_DROP_NEIGHBOUR;
	memcpy(&ip, frame + PACKET_ETHER_BYTES, sizeof(ip));
	const uint8_t *nd = frame + PACKET_ETHER_BYTES + sizeof(ip);
	uint32_t length = rte_be_to_cpu_16(ip.payload_len);
	if (nd[0] != ND_SOLICIT && nd[0] != ND_ADVERTISE)
		return PACKET_DROP_PROTOCOL;
	bool request = nd[0] == ND_SOLICIT;
	if (length < ND_BYTES || length > bytes - PACKET_ETHER_BYTES - sizeof(ip) ||
		ip.hop_limits != HOP_LIMIT || nd[1] != 0 ||
		packet_checksum6(ip.src_addr, ip.dst_addr, IPPROTO_ICMPV6, nd, length) != 0xffff)
		return PACKET_DROP_NEIGHBOUR;
	parts->about.six = parts->from.six = true;
	memcpy(parts->about.bytes, nd + 8, 16);
	memcpy(parts->from.bytes, request ? ip.src_addr : nd + 8, 16);
	memcpy(parts->from_mac, frame + PACKET_MAC_BYTES, PACKET_MAC_BYTES);
	parts->is_probe = request && memcmp(ip.src_addr, unspecified, 16) == 0;
	parts->kind = request                 ? MESSAGE_REQUEST
		: nd[4] & ADVERTISE_SOLICITED ? MESSAGE_ANSWER
					      : MESSAGE_ANNOUNCE;
	if (!nd_options(nd + ND_BYTES, length - ND_BYTES, request ? OPTION_SOURCE : OPTION_TARGET,
		    parts->from_mac) ||
		!mac_is_station(parts->from_mac) || !packet_address_is_host(&parts->about) ||
		!(parts->is_probe || packet_address_is_host(&parts->from)))
		return PACKET_DROP_NEIGHBOUR;
	return PACKET_DROP_COUNT;
}

uint32_t message_write(uint8_t *out, const struct packet_local *local,
	const struct message_parts *parts)
{
	return local->address.six ? nd_write(out, local, parts) : arp_write(out, local, parts);
}

enum packet_drop neighbour_message_read(const uint8_t *frame, uint32_t bytes, bool six,
	struct message_parts *ret_parts)
{
	*ret_parts = (struct message_parts){0};
	return six ? nd_read(frame, bytes, ret_parts) : arp_read(frame, bytes, ret_parts);
}
