// Frames as they come from a port: what the parser lets through lies within the frame, and ARP and
// neighbour discovery, whatever they say, leave the table as it was bounded.
#include <stdlib.h>
#include <string.h>

#include "dataplane/neighbour.h"
#include "numa/assert.h"
#include "tests/fuzz/fuzz.h"

enum { PORT = 4000, PAYLOAD = 30 };

static const struct packet_local locals[2] = {
	{.mac = {2, 0, 0, 0, 0, 1},
		.address = {{10, 0, 0, 1}, false},
		.port_first = PORT,
		.port_count = 4},
	{.mac = {2, 0, 0, 0, 0, 1},
		.address = {{0xfd, [15] = 1}, true},
		.port_first = PORT,
		.port_count = 4},
};

static struct packet_local other_of(bool six)
{
	struct packet_local other = locals[six];
	other.mac[5] = 2;
	other.address.bytes[six ? 15 : 3] = 2;
	return other;
}

// What another station would ask or announce.
static uint32_t seed_message(bool six, bool announce, uint8_t *out)
{
	static struct neighbour_table table;
	struct packet_local other = other_of(six);
	uint32_t index;
	neighbour_init(&table, &other, six ? 64 : 24, NULL);
	if (announce)
		neighbour_restart(&table, 0);
	else
		VERIFY(neighbour_add(&table, &locals[six].address, NULL, &index) == 0);
	neighbour_step(&table, 0);
	return neighbour_take(&table, out);
}

static uint32_t seed_packet(bool six, enum packet_checksum checksum, uint8_t *out)
{
	struct packet_template t;
	uint8_t room[128] = {0};
	struct packet_local other = other_of(six);
	struct packet_flow flow = {.from = other.address,
		.to = locals[six].address,
		.from_port = 1,
		.to_port = PORT + 1};
	packet_template_init(&t, &flow);
	packet_write(&t, locals[six].mac, room + 64, PAYLOAD, checksum);
	memcpy(out, room + 64 - t.bytes, t.bytes + PAYLOAD);
	return t.bytes + PAYLOAD;
}

size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	bool six = index % 2 == 1;
	if (index >= 10 || bytes_max < 256)
		return 0;
	data[0] = six;
	if (index < 4)
		return 1 + seed_message(six, index >= 2, data + 1);
	enum packet_checksum checksum =
		index < 6 && !six ? PACKET_CHECKSUM_NONE : PACKET_CHECKSUM_SOFTWARE;
	data[0] = (uint8_t)(six | (index >= 8 ? 6 : 0));
	return 1 + seed_packet(six, checksum, data + 1);
}

static void discover(bool six, const uint8_t *frame, uint32_t bytes)
{
	static struct neighbour_table table;
	uint8_t out[NEIGHBOUR_MESSAGE_MAX], mac[PACKET_MAC_BYTES];
	uint32_t index, sent = 0;
	struct packet_local other = other_of(six);
	neighbour_init(&table, &locals[six], six ? 64 : 24, NULL);
	VERIFY(neighbour_add(&table, &other.address, NULL, &index) == 0);
	neighbour_receive(&table, frame, bytes, 1);
	VERIFY(atomic_load(&table.count) == 1);
	VERIFY(!neighbour_mac(&table, index, mac) || (mac[0] & 1) == 0);
	while (neighbour_take(&table, out) > 0)
		sent++;
	VERIFY(sent <= 1);
}

// The first byte: IPv4 or IPv6, and what the port says it has checked.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0)
		return 0;
	bool six = data[0] & 1;
	uint32_t length = (uint32_t)bytes - 1;
	uint8_t *frame = malloc(bytes);
	struct packet_view view;
	VERIFY(frame != NULL);
	memcpy(frame, data + 1, length);
	if (packet_parse(&locals[six], frame, length, data[0] >> 1, &view) == PACKET_DROP_COUNT) {
		VERIFY(view.offset + view.bytes <= length);
		VERIFY(view.kind != PACKET_SESSION ||
			(view.bytes > 0 && view.offset == packet_header_bytes(six)));
		if (view.kind != PACKET_SESSION)
			discover(six, frame, length);
	}
	discover(six, frame, length); // as if the parser had not looked first
	free(frame);
	return 0;
}
