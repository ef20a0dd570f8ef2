// Packets: what is written is read again, and whatever is wrong with one is found and named.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/packet.h"

enum { PAYLOAD = 101, ROOM = 64, BYTES_MAX = 512, PORT = 4000 };

static const struct packet_local local4 = {.mac = {2, 0, 0, 0, 0, 1},
	.address = {{10, 0, 0, 1}, false},
	.port_first = PORT,
	.port_count = 4};
static const struct packet_local local6 = {.mac = {2, 0, 0, 0, 0, 1},
	.address = {{0xfd, [15] = 1}, true},
	.port_first = PORT,
	.port_count = 4};

struct packet {
	uint8_t bytes[BYTES_MAX];
	uint32_t length; // of the frame
};

static void make(struct packet *p, bool six, uint32_t payload, enum packet_checksum checksum)
{
	struct packet_template t;
	uint8_t all[BYTES_MAX];
	struct packet_flow flow = {.from = {{10, 0, 0, 2}, false},
		.to = local4.address,
		.from_mac = {2, 0, 0, 0, 0, 2},
		.from_port = 999,
		.to_port = PORT + 3};
	if (six) {
		flow.to = flow.from = local6.address;
		flow.from.bytes[15] = 2;
	}
	for (uint32_t i = 0; i < payload; i++)
		all[ROOM + i] = (uint8_t)(i * 7);
	packet_template_init(&t, &flow);
	assert_int_equal(t.bytes, packet_header_bytes(six));
	packet_write(&t, local4.mac, all + ROOM, payload, checksum);
	p->length = t.bytes + payload;
	memcpy(p->bytes, all + ROOM - t.bytes, p->length);
}

static enum packet_drop parse(const struct packet *p, bool six, struct packet_view *view)
{
	return packet_parse(six ? &local6 : &local4, p->bytes, p->length, 0, view);
}

static void check_round(bool six, enum packet_checksum checksum)
{
	struct packet p;
	struct packet_view view;
	for (uint32_t payload = 1; payload < 200; payload++) {
		make(&p, six, payload, checksum);
		p.length += payload % 3; // padding of the wire
		assert_int_equal(parse(&p, six, &view), PACKET_DROP_COUNT);
		assert_int_equal(view.kind, PACKET_SESSION);
		assert_int_equal(view.bytes, payload);
		for (uint32_t i = 0; i < payload; i++)
			assert_int_equal(p.bytes[view.offset + i], (uint8_t)(i * 7));
	}
}

static void test_what_is_written_is_read(void **state)
{
	check_round(false, PACKET_CHECKSUM_NONE);
	check_round(false, PACKET_CHECKSUM_SOFTWARE);
	check_round(true, PACKET_CHECKSUM_SOFTWARE);
}

// The port's part of the work: it sums from the UDP header on, what is in the field included.
static void test_offloaded_checksums_begin_with_the_pseudo_header(void **state)
{
	struct packet software, offloaded;
	for (int six = 0; six < 2; six++) {
		make(&software, six, PAYLOAD, PACKET_CHECKSUM_SOFTWARE);
		make(&offloaded, six, PAYLOAD, PACKET_CHECKSUM_OFFLOAD);
		uint32_t udp = packet_header_bytes(six) - PACKET_UDP_BYTES, sum = 0;
		for (uint32_t i = udp; i < offloaded.length; i++)
			sum += (uint32_t)offloaded.bytes[i] << ((i - udp) % 2 == 0 ? 8 : 0);
		sum = (sum & 0xffff) + (sum >> 16);
		sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
		assert_int_equal(sum, software.bytes[udp + 6] << 8 | software.bytes[udp + 7]);
	}
}

// ---- hostile ones: a byte changed, and what is then found. Offsets are of the frame.

struct change {
	bool six;
	uint32_t offset;
	uint8_t value;
	enum packet_drop drop;
};

static const struct change changes[] = {
	{false, 0, 4, PACKET_DROP_MAC},            // to another station
	{false, 5, 9, PACKET_DROP_MAC},            // of the same make
	{false, 0, 1, PACKET_DROP_MAC},            // to many
	{false, 12, 0x81, PACKET_DROP_VLAN},       // 0x8100
	{false, 12, 0x86, PACKET_DROP_ETHER_TYPE}, // 0x8600
	{false, 14, 0x46, PACKET_DROP_IP_OPTIONS},
	{false, 14, 0x44, PACKET_DROP_IP_HEADER},   // shorter than a header
	{false, 14, 0x65, PACKET_DROP_IP_HEADER},   // version 6
	{false, 16, 0x10, PACKET_DROP_IP_HEADER},   // longer than the frame
	{false, 17, 19, PACKET_DROP_IP_HEADER},     // total length below the header
	{false, 20, 0x20, PACKET_DROP_IP_FRAGMENT}, // more fragments
	{false, 21, 0x01, PACKET_DROP_IP_FRAGMENT}, // an offset
	{false, 22, 63, PACKET_DROP_IP_CHECKSUM},   // hops, without mending it
	{false, 24, 0, PACKET_DROP_IP_CHECKSUM},
	{false, 38, 0xff, PACKET_DROP_UDP_LENGTH},
	{false, 39, 1, PACKET_DROP_UDP_LENGTH},
	{false, 36, 0xff, PACKET_DROP_UDP_PORT},
	{false, 37, 0x9f, PACKET_DROP_UDP_PORT}, // one below the first
	{false, 37, 0xa4, PACKET_DROP_UDP_PORT}, // one behind the last
	{false, 40, 0x55, PACKET_DROP_UDP_CHECKSUM},
	{false, 60, 0xee, PACKET_DROP_UDP_CHECKSUM}, // payload
	{true, 14, 0x40, PACKET_DROP_IP_HEADER},     // version 4
	{true, 18, 0x70, PACKET_DROP_IP_HEADER},     // longer than the frame
	{true, 20, 44, PACKET_DROP_IP_FRAGMENT},
	{true, 20, 0, PACKET_DROP_IP_OPTIONS},   // hop by hop
	{true, 20, 6, PACKET_DROP_PROTOCOL},     // TCP
	{true, 22, 0xff, PACKET_DROP_IP_SOURCE}, // multicast
	{true, 38, 0xfe, PACKET_DROP_IP_DESTINATION},
	{true, 38, 0xff, PACKET_DROP_IP_DESTINATION}, // multicast
	{true, 60, 0, PACKET_DROP_UDP_CHECKSUM},
};

static void test_changed_bytes_are_found(void **state)
{
	struct packet p;
	struct packet_view view;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];
		make(&p, c->six, PAYLOAD, PACKET_CHECKSUM_SOFTWARE);
		p.bytes[c->offset] = c->value;
		assert_int_equal(parse(&p, c->six, &view), c->drop);
	}
}

// Change an address or protocol of IPv4 and mend the header's checksum.
static enum packet_drop parse_mended(uint32_t offset, uint8_t value)
{
	struct packet p;
	struct packet_view view;
	uint32_t sum = 0;
	make(&p, false, PAYLOAD, PACKET_CHECKSUM_NONE);
	p.bytes[offset] = value;
	p.bytes[24] = p.bytes[25] = 0;
	for (uint32_t i = 14; i < 34; i += 2)
		sum += (uint32_t)(p.bytes[i] << 8 | p.bytes[i + 1]);
	sum = ~((sum & 0xffff) + (sum >> 16));
	p.bytes[24] = (uint8_t)(sum >> 8);
	p.bytes[25] = (uint8_t)sum;
	return parse(&p, false, &view);
}

static void test_wrong_addresses_are_found(void **state)
{
	assert_int_equal(parse_mended(22, 1), PACKET_DROP_COUNT); // the last hop
	assert_int_equal(parse_mended(23, 6), PACKET_DROP_PROTOCOL);
	assert_int_equal(parse_mended(26, 127), PACKET_DROP_IP_SOURCE);
	assert_int_equal(parse_mended(26, 224), PACKET_DROP_IP_SOURCE);
	assert_int_equal(parse_mended(26, 255), PACKET_DROP_IP_SOURCE);
	assert_int_equal(parse_mended(26, 0), PACKET_DROP_IP_SOURCE);
	assert_int_equal(parse_mended(33, 9), PACKET_DROP_IP_DESTINATION);
	assert_int_equal(parse_mended(33, 255), PACKET_DROP_IP_DESTINATION);
}

static void test_header_sums_that_carry_are_right(void **state)
{
	for (uint32_t value = 0; value < 256; value++) {
		assert_int_equal(parse_mended(19, (uint8_t)value), PACKET_DROP_COUNT); // number
		assert_int_equal(parse_mended(29, (uint8_t)value), PACKET_DROP_COUNT); // source
	}
}

static void test_checksums(void **state)
{
	struct packet p;
	struct packet_view view;
	make(&p, false, PAYLOAD, PACKET_CHECKSUM_NONE); // may be missing over IPv4
	p.bytes[60] ^= 1;
	assert_int_equal(parse(&p, false, &view), PACKET_DROP_COUNT);
	make(&p, true, PAYLOAD, PACKET_CHECKSUM_SOFTWARE); // but not over IPv6
	p.bytes[60] = p.bytes[61] = 0;
	assert_int_equal(parse(&p, true, &view), PACKET_DROP_UDP_CHECKSUM);
	make(&p, false, PAYLOAD, PACKET_CHECKSUM_SOFTWARE); // what the port checked is left at that
	p.bytes[60] ^= 1;
	assert_int_equal(packet_parse(&local4, p.bytes, p.length, PACKET_UDP_CHECKED, &view),
		PACKET_DROP_COUNT);
	p.bytes[22]++;
	assert_int_equal(packet_parse(&local4, p.bytes, p.length,
				 PACKET_UDP_CHECKED | PACKET_IP_CHECKED, &view),
		PACKET_DROP_COUNT);
}

static void test_cut_frames_are_found(void **state)
{
	struct packet p;
	struct packet_view view;
	for (int six = 0; six < 2; six++) {
		make(&p, six, PAYLOAD, PACKET_CHECKSUM_SOFTWARE);
		for (uint32_t length = p.length - 1; length < p.length; length--) {
			p.length = length;
			enum packet_drop drop = parse(&p, six, &view);
			assert_true(drop == PACKET_DROP_SHORT || drop == PACKET_DROP_IP_HEADER);
		}
	}
}

static void test_a_packet_without_a_payload_is_dropped(void **state)
{
	struct packet p;
	struct packet_view view;
	make(&p, false, 1, PACKET_CHECKSUM_NONE);
	p.bytes[39] = PACKET_UDP_BYTES;
	assert_int_equal(parse(&p, false, &view), PACKET_DROP_UDP_LENGTH);
	p.bytes[17] = 28; // and IP's length with it
	p.bytes[25]++;    // one less is one more in the checksum
	assert_int_equal(parse(&p, false, &view), PACKET_DROP_EMPTY);
}

// ---- addresses

static void test_near(void **state)
{
	struct packet_address a = {{10, 1, 0xf0, 0}, false}, b = {{10, 1, 0xff, 0}, false};
	assert_true(packet_address_near(&a, &b, 20));
	assert_false(packet_address_near(&a, &b, 21));
	assert_true(packet_address_near(&a, &a, 32));
	assert_false(packet_address_near(&a, &b, 32));
	b.six = true;
	assert_false(packet_address_near(&a, &b, 8));
}

static void test_hosts(void **state)
{
	static const struct packet_address no_hosts[] = {{{0}, false}, {{127, 0, 0, 1}, false},
		{{239, 1, 1, 1}, false}, {{255, 255, 255, 255}, false}, {{0}, true},
		{{[15] = 1}, true}, {{0xff, 2, [15] = 1}, true}};
	static const struct packet_address hosts[] = {{{10, 0, 0, 1}, false},
		{{223, 255, 255, 1}, false}, {{0xfe, 0x80, [15] = 1}, true}, {{[15] = 2}, true}};
	for (size_t i = 0; i < sizeof(no_hosts) / sizeof(no_hosts[0]); i++)
		assert_false(packet_address_is_host(&no_hosts[i]));
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		assert_true(packet_address_is_host(&hosts[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_offloaded_checksums_begin_with_the_pseudo_header),
		cmocka_unit_test(test_changed_bytes_are_found),
		cmocka_unit_test(test_wrong_addresses_are_found),
		cmocka_unit_test(test_header_sums_that_carry_are_right),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_cut_frames_are_found),
		cmocka_unit_test(test_a_packet_without_a_payload_is_dropped),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
