// Messages on a byte stream, and the addresses of the bus.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "control/bus.h"
#include "control/bus_address.h"
#include "control/bus_frame.h"

static struct evbuffer *stream;

static int stream_make(void **state)
{
	stream = evbuffer_new();
	return stream ? 0 : -1;
}

static int stream_free(void **state)
{
	evbuffer_free(stream);
	return 0;
}

static void comes_out_as_it_went_in(void **state)
{
	const void *message;
	size_t bytes;
	assert_int_equal(bus_frame_put(stream, "one", 3), 0);
	assert_int_equal(bus_frame_put(stream, NULL, 0), 0);
	assert_int_equal(bus_frame_put(stream, "two", 3), 0);
	assert_int_equal(bus_frame_next(stream, &message, &bytes), BUS_FRAME_WHOLE);
	assert_int_equal(bytes, 3);
	assert_memory_equal(message, "one", 3);
	bus_frame_drop(stream, bytes);
	assert_int_equal(bus_frame_next(stream, &message, &bytes), BUS_FRAME_WHOLE);
	assert_int_equal(bytes, 0);
	bus_frame_drop(stream, bytes);
	assert_int_equal(bus_frame_next(stream, &message, &bytes), BUS_FRAME_WHOLE);
	assert_memory_equal(message, "two", 3);
	bus_frame_drop(stream, bytes);
	assert_int_equal(bus_frame_next(stream, &message, &bytes), BUS_FRAME_PART);
}

static void the_largest_passes(void **state)
{
	uint8_t *large = calloc(1, BUS_MESSAGE_MAX);
	const void *message;
	size_t bytes;
	assert_non_null(large);
	large[BUS_MESSAGE_MAX - 1] = 1;
	assert_int_equal(bus_frame_put(stream, large, BUS_MESSAGE_MAX), 0);
	assert_int_equal(bus_frame_next(stream, &message, &bytes), BUS_FRAME_WHOLE);
	assert_int_equal(bytes, BUS_MESSAGE_MAX);
	assert_memory_equal(message, large, bytes);
	free(large);
}

static void every_cut_is_a_part(void **state)
{
	uint8_t whole[BUS_FRAME_HEADER_BYTES + 5];
	const void *message;
	size_t bytes;
	assert_int_equal(bus_frame_put(stream, "hello", 5), 0);
	assert_int_equal(evbuffer_remove(stream, whole, sizeof(whole)), sizeof(whole));
	for (size_t i = 0; i < sizeof(whole); i++) {
		assert_int_equal(bus_frame_next(stream, &message, &bytes), BUS_FRAME_PART);
		evbuffer_add(stream, whole + i, 1);
	}
	assert_int_equal(bus_frame_next(stream, &message, &bytes), BUS_FRAME_WHOLE);
}

// A change of any bit has its reason.
static void every_bit_counts(void **state)
{
	uint8_t whole[BUS_FRAME_HEADER_BYTES + 5], changed[sizeof(whole)];
	const void *message;
	size_t bytes;
	assert_int_equal(bus_frame_put(stream, "hello", 5), 0);
	assert_int_equal(evbuffer_remove(stream, whole, sizeof(whole)), sizeof(whole));
	for (size_t bit = 0; bit < sizeof(whole) * 8; bit++) {
		memcpy(changed, whole, sizeof(whole));
		changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		evbuffer_add(stream, changed, sizeof(changed));
		enum bus_frame_state state_is = bus_frame_next(stream, &message, &bytes);
		size_t at = bit / 8;
		if (at < 4)
			assert_int_equal(state_is, BUS_FRAME_MAGIC);
		else if (at == 4)
			assert_int_equal(state_is, BUS_FRAME_UNKNOWN);
		else if (at < 8)
			assert_int_equal(state_is, BUS_FRAME_RESERVED);
		else if (at < 12)
			assert_true(state_is == BUS_FRAME_PART || state_is == BUS_FRAME_LENGTH ||
				state_is == BUS_FRAME_CHECKSUM);
		else
			assert_int_equal(state_is, BUS_FRAME_CHECKSUM);
		evbuffer_drain(stream, sizeof(changed));
	}
}

static void one_byte_too_long_is_refused_at_once(void **state)
{
	const void *message;
	size_t bytes;
	uint8_t header[BUS_FRAME_HEADER_BYTES] = {'W', 'B', 'U', 'S', 1, 0, 0, 0, 1, 0, 0, 1};
	evbuffer_add(stream, header, sizeof(header));
	assert_int_equal(bus_frame_next(stream, &message, &bytes), BUS_FRAME_LENGTH);
}

static void addresses(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
		bool is_unix, is_local;
	} good[] = {
		{"tcp:127.0.0.1:7000", "127.0.0.1", 7000, false, true},
		{"tcp:localhost:0", "localhost", 0, false, true},
		{"tcp:[::1]:65535", "::1", 65535, false, true},
		{"tcp:[fe80::2]:1", "fe80::2", 1, false, false},
		{"tcp:127.example.org:1", "127.example.org", 1, false, false},
		{"tcp:0.0.0.0:1", "0.0.0.0", 1, false, false},
		{"tcp:node-3:7001", "node-3", 7001, false, false},
		{"unix:/run/weir/c", "", 0, true, true},
	};
	static const char *const bad[] = {"", "tcp", "tcp:", "tcp:host", "tcp:host:", "tcp::7000",
		"tcp:::1:7000", "tcp:[::1:7000", "tcp:[]:1", "tcp:host:65536", "tcp:host:-1",
		"tcp:host:7000x", "unix:", "unix:relative", "udp:host:1", "host:1"};
	struct bus_address address;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(bus_address_parse(good[i].text, &address));
		assert_string_equal(address.host, good[i].host);
		assert_int_equal(address.port, good[i].port);
		assert_int_equal(address.is_unix, good[i].is_unix);
		assert_int_equal(bus_address_is_local(&address), good[i].is_local);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(bus_address_parse(bad[i], &address));
	char path[120] = "unix:/";
	memset(path + 6, 'p', 106);
	assert_null(bus_address_parse(path, &address));
	assert_int_equal(strlen(address.path), 107);
	path[112] = 'p';
	assert_non_null(bus_address_parse(path, &address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_out_as_it_went_in, stream_make, stream_free),
		cmocka_unit_test_setup_teardown(the_largest_passes, stream_make, stream_free),
		cmocka_unit_test_setup_teardown(every_cut_is_a_part, stream_make, stream_free),
		cmocka_unit_test_setup_teardown(every_bit_counts, stream_make, stream_free),
		cmocka_unit_test_setup_teardown(one_byte_too_long_is_refused_at_once, stream_make,
			stream_free),
		cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
