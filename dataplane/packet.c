#include "dataplane/packet.h"

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <stddef.h>
#include <string.h>

#include "numa/assert.h"

const char *const packet_drop_names[PACKET_DROP_COUNT] = {
#define X(id, name) name,
	PACKET_DROPS(X)
#undef X
};

static_assert(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) +
			sizeof(struct rte_udp_hdr) ==
		PACKET_IPV4_HEADERS,
	"pinned");
static_assert(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv6_hdr) +
			sizeof(struct rte_udp_hdr) ==
		PACKET_IPV6_HEADERS,
	"pinned");

enum { IPV6_VERSION = 6 << 28, HOPS = 64 };

static uint16_t sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

// ---- addresses

bool packet_address_equal(const struct packet_address *a, const struct packet_address *b)
{
	return a->six == b->six && memcmp(a->bytes, b->bytes, a->six ? 16 : 4) == 0;
}

static bool is_host4(const uint8_t *address)
{
	return address[0] != 0 && address[0] != 127 && address[0] < 224;
}

bool packet_address_is_host(const struct packet_address *a)
{
	static const uint8_t zeros[15];
	if (!a->six)
		return is_host4(a->bytes);
	bool low = memcmp(a->bytes, zeros, sizeof(zeros)) == 0; // :: and ::1
	return a->bytes[0] != 0xff && !(low && a->bytes[15] <= 1);
}

bool packet_address_near(const struct packet_address *a, const struct packet_address *b,
	uint32_t prefix)
{
	uint32_t whole = prefix / 8, rest = prefix % 8;
	if (a->six != b->six || memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}

// ---- writing

static void template_init4(struct packet_template *t, const struct packet_flow *flow)
{
	struct rte_ipv4_hdr ip = {.version_ihl = 0x45,
		.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = HOPS,
		.next_proto_id = IPPROTO_UDP};
	memcpy(&ip.src_addr, flow->from.bytes, 4);
	memcpy(&ip.dst_addr, flow->to.bytes, 4);
	memcpy(t->header + PACKET_ETHER_BYTES, &ip, sizeof(ip));
	t->ip_sum = rte_raw_cksum(&ip, sizeof(ip));
	t->pseudo_sum = rte_ipv4_phdr_cksum(&ip, RTE_MBUF_F_TX_TCP_SEG);
}

static void template_init6(struct packet_template *t, const struct packet_flow *flow)
{
	struct rte_ipv6_hdr ip = {.vtc_flow = rte_cpu_to_be_32(IPV6_VERSION),
		.proto = IPPROTO_UDP,
		.hop_limits = HOPS};
	memcpy(ip.src_addr, flow->from.bytes, 16);
	memcpy(ip.dst_addr, flow->to.bytes, 16);
	memcpy(t->header + PACKET_ETHER_BYTES, &ip, sizeof(ip));
	t->pseudo_sum = rte_ipv6_phdr_cksum(&ip, RTE_MBUF_F_TX_TCP_SEG);
}

void packet_template_init(struct packet_template *t, const struct packet_flow *flow)
{
	ASSERT(flow->from.six == flow->to.six);
	*t = (struct packet_template){.six = flow->to.six};
	t->bytes = (uint8_t)packet_header_bytes(t->six);
	struct rte_ether_hdr ether = {
		.ether_type = rte_cpu_to_be_16(t->six ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4)};
	memcpy(&ether.src_addr, flow->from_mac, PACKET_MAC_BYTES);
	memcpy(t->header, &ether, sizeof(ether));
	struct rte_udp_hdr udp = {.src_port = rte_cpu_to_be_16(flow->from_port),
		.dst_port = rte_cpu_to_be_16(flow->to_port)};
	memcpy(t->header + t->bytes - PACKET_UDP_BYTES, &udp, sizeof(udp));
	if (t->six)
		template_init6(t, flow);
	else
		template_init4(t, flow);
}

static uint16_t udp_checksum(const struct packet_template *t, const struct rte_udp_hdr *udp,
	enum packet_checksum checksum)
{
	uint32_t sum = (uint32_t)t->pseudo_sum + udp->dgram_len;
	if (checksum == PACKET_CHECKSUM_NONE)
		return 0;
	if (checksum == PACKET_CHECKSUM_OFFLOAD)
		return sum_fold(sum);
	sum += rte_raw_cksum(udp, rte_be_to_cpu_16(udp->dgram_len));
	uint16_t folded = (uint16_t)~sum_fold(sum);
	return folded == 0 ? 0xffff : folded;
}

void packet_write(const struct packet_template *t, const uint8_t mac[PACKET_MAC_BYTES],
	uint8_t *payload, uint32_t bytes, enum packet_checksum checksum)
{
	ASSERT(checksum != PACKET_CHECKSUM_NONE || !t->six);
	ASSERT(bytes > 0 && bytes + PACKET_IPV6_HEADERS <= UINT16_MAX);
	uint8_t *at = payload - t->bytes;
	rte_be16_t udp_bytes = rte_cpu_to_be_16((uint16_t)(bytes + PACKET_UDP_BYTES));
	memcpy(at, t->header, PACKET_IPV4_HEADERS);
	memcpy(at, mac, PACKET_MAC_BYTES);
	if (t->six) {
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(at + PACKET_ETHER_BYTES);
		memcpy(at + PACKET_IPV4_HEADERS, t->header + PACKET_IPV4_HEADERS,
			PACKET_IPV6_HEADERS - PACKET_IPV4_HEADERS);
		ip->payload_len = udp_bytes;
	} else {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(at + PACKET_ETHER_BYTES);
		ip->total_length = rte_cpu_to_be_16((uint16_t)(bytes + PACKET_IPV4_HEADERS -
			PACKET_ETHER_BYTES));
		ip->hdr_checksum = (uint16_t)~sum_fold(t->ip_sum + ip->total_length);
	}
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(payload - PACKET_UDP_BYTES);
	udp->dgram_len = udp_bytes;
	udp->dgram_cksum = udp_checksum(t, udp, checksum);
}

uint16_t packet_checksum6(const uint8_t from[16], const uint8_t to[16], uint8_t protocol,
	const uint8_t *message, uint32_t bytes)
{
	struct rte_ipv6_hdr ip = {
		.payload_len = rte_cpu_to_be_16((uint16_t)bytes), .proto = protocol};
	memcpy(ip.src_addr, from, 16);
	memcpy(ip.dst_addr, to, 16);
	uint32_t sum = rte_ipv6_phdr_cksum(&ip, 0) + (uint32_t)rte_raw_cksum(message, bytes);
	uint16_t folded = (uint16_t)~sum_fold(sum);
	return folded == 0 ? 0xffff : folded;
}

// ---- reading

// Of the IP header: where the next one begins, what it is, and how long IP says the rest is.
struct ip_part {
	const uint8_t *next;
	uint32_t bytes;
	uint8_t protocol;
	bool to_this;          // else multicast
	const uint8_t *header; // IP's
};

// Of a header without options, as it lies there: its words as five of 32 bits.
static bool ip4_checksum_holds(const void *header)
{
	uint32_t words[5];
	uint64_t sum = 0;
	memcpy(words, header, sizeof(words));
	for (int i = 0; i < 5; i++)
		sum += words[i];
	return sum_fold((uint32_t)((sum & 0xffff) + (sum >> 16))) == 0xffff;
}

static enum packet_drop parse_ip4(const struct packet_local *local, const uint8_t *data,
	uint32_t bytes, uint32_t checked, struct ip_part *out)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)data;
	if (bytes < sizeof(*ip))
		return PACKET_DROP_SHORT;
	if (ip->version_ihl != 0x45)
		return ip->version_ihl >> 4 == 4 && (ip->version_ihl & 15) > 5
			? PACKET_DROP_IP_OPTIONS
			: PACKET_DROP_IP_HEADER;
	uint32_t total = rte_be_to_cpu_16(ip->total_length);
	if (total < sizeof(*ip) || total > bytes)
		return PACKET_DROP_IP_HEADER;
	if ((ip->fragment_offset & rte_cpu_to_be_16((uint16_t)~RTE_IPV4_HDR_DF_FLAG)) != 0)
		return PACKET_DROP_IP_FRAGMENT;
	if (!(checked & PACKET_IP_CHECKED) && !ip4_checksum_holds(ip))
		return PACKET_DROP_IP_CHECKSUM;
	if (!is_host4((const uint8_t *)&ip->src_addr))
		return PACKET_DROP_IP_SOURCE;
	if (memcmp(&ip->dst_addr, local->address.bytes, sizeof(ip->dst_addr)) != 0)
		return PACKET_DROP_IP_DESTINATION;
	*out = (struct ip_part){.next = data + sizeof(*ip),
		.bytes = total - (uint32_t)sizeof(*ip),
		.protocol = ip->next_proto_id,
		.to_this = true,
		.header = data};
	return PACKET_DROP_COUNT;
}

static bool is_extension(uint8_t protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
		protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS ||
		protocol == IPPROTO_AH || protocol == IPPROTO_ESP;
}

static enum packet_drop parse_ip6(const struct packet_local *local, const uint8_t *data,
	uint32_t bytes, struct ip_part *out)
{
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)data;
	struct packet_address from = {.six = true}, to = {.six = true};
	if (bytes < sizeof(*ip))
		return PACKET_DROP_SHORT;
	if (data[0] >> 4 != 6 || rte_be_to_cpu_16(ip->payload_len) > bytes - sizeof(*ip))
		return PACKET_DROP_IP_HEADER;
	if (is_extension(ip->proto))
		return ip->proto == IPPROTO_FRAGMENT ? PACKET_DROP_IP_FRAGMENT
						     : PACKET_DROP_IP_OPTIONS;
	memcpy(from.bytes, ip->src_addr, 16);
	memcpy(to.bytes, ip->dst_addr, 16);
	bool to_this = packet_address_equal(&to, &local->address);
	bool discovery = ip->proto == IPPROTO_ICMPV6;
	if (!packet_address_is_host(&from) &&
		!discovery) // a duplicate address is asked for from ::
		return PACKET_DROP_IP_SOURCE;
	if (!to_this && !(discovery && to.bytes[0] == 0xff))
		return PACKET_DROP_IP_DESTINATION;
	*out = (struct ip_part){.next = data + sizeof(*ip),
		.bytes = rte_be_to_cpu_16(ip->payload_len),
		.protocol = ip->proto,
		.to_this = to_this,
		.header = data};
	return PACKET_DROP_COUNT;
}

static bool udp_checksum_holds(const struct ip_part *ip, bool six, uint32_t checked)
{
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)ip->next;
	if (udp->dgram_cksum == 0)
		return !six;
	if (checked & PACKET_UDP_CHECKED)
		return true;
	uint32_t sum = six ? rte_ipv6_phdr_cksum((const void *)ip->header, 0)
			   : rte_ipv4_phdr_cksum((const void *)ip->header, 0);
	return sum_fold(sum + rte_raw_cksum(udp, ip->bytes)) == 0xffff;
}

static enum packet_drop parse_udp(const struct packet_local *local, const struct ip_part *ip,
	bool six, uint32_t checked)
{
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)ip->next;
	if (ip->protocol != IPPROTO_UDP)
		return PACKET_DROP_PROTOCOL;
	if (ip->bytes < sizeof(*udp) || rte_be_to_cpu_16(udp->dgram_len) != ip->bytes)
		return PACKET_DROP_UDP_LENGTH;
	uint32_t port = rte_be_to_cpu_16(udp->dst_port);
	if (port < local->port_first || port - local->port_first >= local->port_count)
		return PACKET_DROP_UDP_PORT;
	if (!udp_checksum_holds(ip, six, checked))
		return PACKET_DROP_UDP_CHECKSUM;
	return ip->bytes == sizeof(*udp) ? PACKET_DROP_EMPTY : PACKET_DROP_COUNT;
}

// In two sizes that the compiler compares by itself.
static bool is_same_mac(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, 4) == 0 && memcmp(a + 4, b + 4, PACKET_MAC_BYTES - 4) == 0;
}

static enum packet_drop parse_ether(const struct packet_local *local, const uint8_t *data,
	uint32_t bytes, uint16_t *ret_type)
{
	const struct rte_ether_hdr *ether = (const struct rte_ether_hdr *)data;
	if (bytes < sizeof(*ether))
		return PACKET_DROP_SHORT;
	*ret_type = rte_be_to_cpu_16(ether->ether_type);
	if (*ret_type == RTE_ETHER_TYPE_VLAN || *ret_type == RTE_ETHER_TYPE_QINQ)
		return PACKET_DROP_VLAN;
	if (!is_same_mac(ether->dst_addr.addr_bytes, local->mac) && !(data[0] & 1))
		return PACKET_DROP_MAC;
	return PACKET_DROP_COUNT;
}

enum packet_drop packet_parse(const struct packet_local *local, const uint8_t *data, uint32_t bytes,
	uint32_t checked, struct packet_view *ret_view)
{
	struct ip_part ip;
	uint16_t type;
	enum packet_drop drop = parse_ether(local, data, bytes, &type);
	if (drop != PACKET_DROP_COUNT)
		return drop;
	const uint8_t *next = data + PACKET_ETHER_BYTES;
	*ret_view = (struct packet_view){.kind = PACKET_ARP, .bytes = bytes};
	if (type == RTE_ETHER_TYPE_ARP && !local->address.six)
		return PACKET_DROP_COUNT;
	if (type == RTE_ETHER_TYPE_IPV4 && !local->address.six)
		drop = parse_ip4(local, next, bytes - PACKET_ETHER_BYTES, checked, &ip);
	else if (type == RTE_ETHER_TYPE_IPV6 && local->address.six)
		drop = parse_ip6(local, next, bytes - PACKET_ETHER_BYTES, &ip);
	else
		return PACKET_DROP_ETHER_TYPE;
	if (drop != PACKET_DROP_COUNT)
		return drop;
	if (type == RTE_ETHER_TYPE_IPV6 && ip.protocol == IPPROTO_ICMPV6) {
		ret_view->kind = PACKET_ND;
		return PACKET_DROP_COUNT;
	}
	if (!ip.to_this || (data[0] & 1)) // one station's packet in a frame to many
		return PACKET_DROP_MAC;
	drop = parse_udp(local, &ip, local->address.six, checked);
	*ret_view = (struct packet_view){.kind = PACKET_SESSION,
		.offset = (uint32_t)(ip.next - data) + PACKET_UDP_BYTES,
		.bytes = ip.bytes - PACKET_UDP_BYTES};
	return drop;
}
