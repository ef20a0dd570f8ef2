// Channels: both ends against what the items must be, whatever the credit, the cuts, who dies and
// from where it is sent again.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "dataplane/channel.h"
#include "dataplane/engine.h"
#include "numa/arena.h"
#include "random_row.h"

enum { FRAME_BYTES = 1024, RECORD_MAX = 208, PAYLOAD_MAX = FRAME_BYTES - FRAME_HEADER_BYTES };

struct fixture {
	struct rte_mempool *pool;
	struct arena arena;
	struct channel channel;
	struct sender sender;
	struct receiver receiver;
	uint64_t received; // items checked so far, the next one's number
	uint64_t frames;   // good ones
	uint64_t seed;
};

static struct fixture *setup_with(uint32_t frames, uint64_t retention_bytes)
{
	static struct fixture f;
	struct channel_config config = {.id = 5,
		.job = 7,
		.plan_version = 2,
		.frame_bytes = FRAME_BYTES,
		.frames = frames,
		.retention_bytes = retention_bytes,
		.checksum = true};
	memset(&f, 0, sizeof(f));
	f.pool = rte_pktmbuf_pool_create("test", frames + CHANNEL_CONTROL_FRAMES, 0, 0,
		RTE_PKTMBUF_HEADROOM + FRAME_BYTES, SOCKET_ID_ANY);
	assert_non_null(f.pool);
	assert_int_equal(arena_create(&f.arena, (1 << 20) + retention_bytes, -1, false), 0);
	assert_int_equal(channel_create(&f.channel, &config, &f.arena), 0);
	assert_int_equal(sender_create(&f.sender, &f.channel, f.pool, &f.arena), 0);
	receiver_create(&f.receiver, &f.channel);
	return &f;
}

// Whatever happened, every mbuf is still somewhere in the channel.
static void teardown(struct fixture *f)
{
	channel_drain(&f->channel, &f->sender, &f->receiver);
	assert_int_equal(rte_mempool_avail_count(f->pool),
		f->channel.config.frames + CHANNEL_CONTROL_FRAMES);
	rte_mempool_free(f->pool);
	arena_destroy(&f->arena);
}

// ---- what item `number` is follows from its number

static uint64_t mixed(uint64_t number)
{
	return random_u64(&number);
}

static bool is_mark(uint64_t number)
{
	return mixed(number) % 11 == 0;
}

static uint32_t item_bytes(uint64_t number)
{
	return 16 + 8 * ((uint32_t)(mixed(number) >> 32) % 25); // at most RECORD_MAX
}

static void write_record(uint8_t *out, uint64_t number)
{
	uint32_t bytes = item_bytes(number);
	memset(out, (int)(number & 0xFF), bytes);
	memcpy(out, &bytes, sizeof(bytes));
	memcpy(out + 8, &number, sizeof(number));
}

static void check_record(const uint8_t *record, uint64_t number)
{
	alignas(8) uint8_t want[RECORD_MAX];
	write_record(want, number);
	assert_memory_equal(record, want, item_bytes(number));
}

// Send item `number` if it may be sent.
static bool send_item(struct fixture *f, uint64_t number)
{
	struct sender *s = &f->sender;
	if (is_mark(number))
		return sender_mark(s, FRAME_WATERMARK, (int64_t)number, 0);
	uint8_t *out = sender_reserve(s, item_bytes(number), 0);
	if (out == NULL)
		return false;
	write_record(out, number);
	sender_commit(s, item_bytes(number));
	return true;
}

// The number of the item that is sent next.
static uint64_t sent(const struct fixture *f)
{
	return f->sender.next_number + f->sender.items;
}

static void consume_data(struct fixture *f, uint32_t items_max)
{
	struct receiver *r = &f->receiver;
	uint32_t items = r->items < items_max ? r->items : items_max;
	const uint8_t *at = r->first;
	for (uint32_t i = 0; i < items; i++) {
		assert_false(is_mark(f->received));
		check_record(at, f->received++);
		at += record_length(at);
	}
	receiver_checksum(r, items);
	r->first = at;
	r->items -= items;
	r->next_number += items;
	if (r->items == 0) {
		assert_ptr_equal(r->first, r->limit);
		receiver_release(r);
	}
}

// Consume at most `items_max` items of the next frame.  Returns whether there was one.
static bool receive(struct fixture *f, uint32_t items_max)
{
	struct receiver *r = &f->receiver;
	const struct frame_header *h = receiver_peek(r);
	if (h == NULL)
		return false;
	f->frames++;
	assert_int_equal(r->next_number, f->received);
	if (h->type == FRAME_DATA) {
		consume_data(f, items_max);
		return true;
	}
	assert_true(is_mark(f->received));
	assert_int_equal(h->watermark, f->received++);
	r->next_number++;
	r->items = 0;
	receiver_release(r);
	return true;
}

static void receive_all(struct fixture *f)
{
	sender_push(&f->sender);
	while (receive(f, UINT32_MAX))
		;
	receiver_return(&f->receiver);
}

static void send_up_to(struct fixture *f, uint64_t number)
{
	while (sent(f) < number)
		if (!send_item(f, sent(f)))
			receive_all(f);
	while (!sender_flush(&f->sender))
		receive_all(f);
	receive_all(f);
}

// ---- tests

static void test_items_arrive_once_in_order_at_any_credit_and_cut(void **state)
{
	static const uint32_t frames[] = {1, 2, 5, CHANNEL_FRAMES_MAX};
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct fixture *f = setup_with(frames[seed % 4], 0);
		f->seed = seed;
		while (f->received < 3000) {
			uint32_t burst = random_below(&f->seed, 100);
			f->sender.payload_max = 1 + random_below(&f->seed, PAYLOAD_MAX);
			while (burst-- > 0 && send_item(f, sent(f)))
				;
			if (random_below(&f->seed, 2))
				sender_flush(&f->sender);
			sender_push(&f->sender);
			for (uint32_t i = random_below(&f->seed, 30); i > 0; i--)
				receive(f, 1 + random_below(&f->seed, 20));
			receiver_return(&f->receiver);
		}
		for (int drop = 0; drop < WEIR_DROP_COUNT; drop++)
			assert_int_equal(f->receiver.dropped[drop], 0);
		teardown(f);
	}
}

static void test_cuts_do_not_change_the_checksum(void **state)
{
	uint64_t checksum = 0;
	for (uint32_t payload = 1; payload < PAYLOAD_MAX; payload += 97) {
		struct fixture *f = setup_with(3, 0);
		f->sender.payload_max = payload;
		send_up_to(f, 500);
		if (checksum == 0)
			checksum = f->receiver.checksum;
		assert_int_equal(f->receiver.checksum, checksum);
		teardown(f);
	}
	assert_int_not_equal(checksum, 0);
}

// Fill whole frames with records of 16 bytes until there is no more credit.  Returns their count.
static uint32_t fill(struct fixture *f)
{
	uint32_t records = 0;
	for (uint8_t *out; (out = sender_reserve(&f->sender, 16, 0)) != NULL; records++) {
		const uint64_t record[2] = {16, records};
		memcpy(out, record, sizeof(record));
		sender_commit(&f->sender, 16);
	}
	return records;
}

static void release_one(struct fixture *f)
{
	assert_non_null(receiver_peek(&f->receiver));
	f->receiver.next_number += f->receiver.items;
	f->receiver.items = 0;
	receiver_release(&f->receiver);
	receiver_return(&f->receiver);
}

static void test_credit_is_exactly_the_frames_and_comes_back(void **state)
{
	struct fixture *f = setup_with(7, 0);
	assert_int_equal(fill(f), 7 * (PAYLOAD_MAX / 16));
	assert_int_equal(fill(f), 0);
	sender_push(&f->sender);
	for (int i = 0; i < 20; i++) {
		release_one(f);
		assert_int_equal(fill(f), PAYLOAD_MAX / 16);
		sender_push(&f->sender);
	}
	teardown(f);
}

static void test_marks_pass_where_data_has_no_credit(void **state)
{
	struct fixture *f = setup_with(2, 0);
	uint32_t records = fill(f);
	for (uint32_t i = 0; i < CHANNEL_CONTROL_FRAMES; i++)
		assert_true(sender_mark(&f->sender, FRAME_BARRIER, 0, i + 1));
	assert_false(sender_mark(&f->sender, FRAME_BARRIER, 0, 99));
	sender_push(&f->sender);
	release_one(f);
	release_one(f);
	assert_int_equal(f->receiver.next_number, records);
	for (uint32_t i = 0; i < CHANNEL_CONTROL_FRAMES; i++) {
		const struct frame_header *h = receiver_peek(&f->receiver);
		assert_int_equal(h->type, FRAME_BARRIER);
		assert_int_equal(h->epoch, i + 1);
		release_one(f);
	}
	assert_true(sender_mark(&f->sender, FRAME_BARRIER, 0, 99));
	teardown(f);
}

static void test_data_frames_repeat_the_last_mark(void **state)
{
	struct fixture *f = setup_with(4, 0);
	alignas(8) const uint64_t record[2] = {16, 0};
	assert_true(sender_mark(&f->sender, FRAME_WATERMARK, 1234, 0));
	assert_true(sender_mark(&f->sender, FRAME_BARRIER, 0, 9));
	memcpy(sender_reserve(&f->sender, 16, 0), record, 16);
	sender_commit(&f->sender, 16);
	assert_true(sender_mark(&f->sender, FRAME_WATERMARK, 5678, 0)); // seals the frame before
	sender_push(&f->sender);
	release_one(f);
	release_one(f);
	const struct frame_header *h = receiver_peek(&f->receiver);
	assert_int_equal(h->type, FRAME_DATA);
	assert_int_equal(h->watermark, 1234);
	assert_int_equal(h->epoch, 9);
	release_one(f);
	assert_int_equal(receiver_peek(&f->receiver)->watermark, 5678);
	teardown(f);
}

// The receiver dies and comes back with position `from`; everything from there is sent again.
static void restart_receiver(struct fixture *f, uint64_t from)
{
	receiver_succeed(&f->receiver);
	f->receiver.next_number = f->received = from;
	sender_rewind(&f->sender, from);
}

static void test_resent_items_are_cut_anew_and_stay_the_same(void **state)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct fixture *f = setup_with(2 + (uint32_t)seed % 5, 64 << 10);
		uint64_t known = 0;
		f->seed = seed;
		for (int round = 0; round < 12; round++) {
			f->sender.payload_max = 1 + random_below(&f->seed, PAYLOAD_MAX);
			send_up_to(f, sent(f) + random_below(&f->seed, 40));
			for (uint32_t i = random_below(&f->seed, 30); i > 0; i--)
				if (!send_item(f, sent(f))) // left open or in the ring
					break;
			if (random_below(&f->seed, 3) == 0) {
				known = f->received;
				atomic_store(&f->channel.snapshot_number, known);
			}
			uint64_t lost = f->received - known;
			restart_receiver(f, known + random_below(&f->seed, (uint32_t)lost + 1));
		}
		f->sender.payload_max = PAYLOAD_MAX;
		send_up_to(f, sent(f) + 10);
		while (f->sender.resend != f->sender.next_number) {
			sender_resend(&f->sender);
			receive_all(f);
		}
		assert_int_equal(f->received, f->sender.next_number);
		teardown(f);
	}
}

static void test_a_replaying_sender_runs_on_without_credit(void **state)
{
	struct fixture *f = setup_with(1, 64 << 10);
	sender_run_on(&f->sender, true);
	for (uint64_t number = 0; number < 200; number++)
		assert_true(send_item(f, number)); // nobody receives
	assert_int_equal(f->sender.credit.count, 1);
	assert_int_equal(f->sender.out_count, 0);
	sender_run_on(&f->sender, false);
	assert_int_equal(f->sender.next_number, 200);
	while (f->received < 200) { // what was open is kept too
		sender_resend(&f->sender);
		receive_all(f);
	}
	send_up_to(f, 300);
	assert_int_equal(f->received, 300);
	teardown(f);
}

// A successor sends again, in its turn, what a receiver alive has consumed and holds in a snapshot.
static void test_what_a_snapshot_holds_is_not_sent_again(void **state)
{
	struct fixture *f = setup_with(1, 64 << 10);
	sender_run_on(&f->sender, true);
	for (uint64_t number = 0; number < 100; number++)
		assert_true(send_item(f, number));
	f->receiver.next_number = f->received = 150;
	atomic_store(&f->channel.snapshot_number, 150);
	sender_trim(&f->sender);
	for (uint64_t number = 100; number < 200; number++)
		assert_true(send_item(f, number));
	sender_run_on(&f->sender, false);
	sender_trim(&f->sender);
	send_up_to(f, 300);
	while (f->sender.resend != f->sender.next_number) {
		sender_resend(&f->sender);
		receive_all(f);
	}
	assert_int_equal(f->received, 300);
	teardown(f);
}

static void test_overlap_is_trimmed(void **state)
{
	struct fixture *f = setup_with(8, 64 << 10);
	send_up_to(f, 100);
	f->sender.payload_max = PAYLOAD_MAX - 300;
	for (uint64_t from = 0; from < 100; from++) {
		restart_receiver(f, from + 7);
		sender_rewind(&f->sender, from); // further back than the receiver needs
		send_up_to(f, sent(f) + 2);
		assert_int_equal(f->received, sent(f));
	}
	assert_true(f->receiver.dropped[WEIR_DROP_FRAME_REPEATED] > 20);
	assert_int_equal(f->receiver.dropped[WEIR_DROP_FRAME_GAP], 0);
	teardown(f);
}

static void test_a_frame_behind_a_gap_is_dropped_and_given_back(void **state)
{
	struct fixture *f = setup_with(3, 64 << 10);
	send_up_to(f, 50);
	f->receiver.next_number = 20; // lost what it had, and nobody rewound the sender
	for (int i = 0; i < 30; i++)
		if (!send_item(f, sent(f)))
			break;
	sender_flush(&f->sender);
	sender_push(&f->sender);
	assert_null(receiver_peek(&f->receiver));
	assert_true(f->receiver.dropped[WEIR_DROP_FRAME_GAP] >= 2);
	receiver_return(&f->receiver);
	restart_receiver(f, 20);
	send_up_to(f, sent(f) + 20);
	assert_int_equal(f->received, sent(f));
	teardown(f);
}

static void test_nothing_of_a_fenced_incarnation_is_taken(void **state)
{
	struct fixture *f = setup_with(4, 64 << 10);
	send_up_to(f, 40);
	for (int i = 0; i < 10; i++)
		send_item(f, sent(f));
	sender_flush(&f->sender);
	f->receiver.expect.incarnation = 2;
	sender_succeed(&f->sender, f->received, 2); // pushes what the dead one had sealed
	uint64_t at = f->received;
	assert_null(receiver_peek(&f->receiver));
	assert_true(f->receiver.dropped[WEIR_DROP_FRAME_FENCED] > 0);
	receiver_return(&f->receiver);
	send_up_to(f, at + 60);
	assert_int_equal(f->received, at + 60);
	teardown(f);
}

static void test_a_damaged_frame_is_dropped_and_given_back(void **state)
{
	struct fixture *f = setup_with(2, 0);
	for (int i = 0; i < 10; i++) {
		uint8_t *out = sender_reserve(&f->sender, 16, 0);
		const uint64_t record[2] = {16, 0};
		memcpy(out, record, sizeof(record));
		sender_commit(&f->sender, 16);
		assert_true(sender_flush(&f->sender));
		out[9] ^= 1;
		sender_push(&f->sender);
		assert_null(receiver_peek(&f->receiver));
		receiver_return(&f->receiver);
	}
	assert_int_equal(f->receiver.dropped[WEIR_DROP_FRAME_CHECKSUM], 10);
	teardown(f);
}

// Data stops while there is still room for the marks that will let retention be trimmed.
static void test_retention_bounds_data_and_leaves_room_for_marks(void **state)
{
	enum { KEPT_FRAMES = 8 };
	struct fixture *f = setup_with(16, KEPT_FRAMES * FRAME_BYTES);
	uint32_t records = fill(f); // there is credit for twice as many
	assert_in_range(records, (KEPT_FRAMES - 2) * (PAYLOAD_MAX / 16),
		(KEPT_FRAMES - 1) * (PAYLOAD_MAX / 16));
	for (uint32_t i = 0; i < CHANNEL_CONTROL_FRAMES; i++)
		assert_true(sender_mark(&f->sender, FRAME_BARRIER, 0, i + 1));
	sender_push(&f->sender);
	for (uint32_t i = 0; i < CHANNEL_CONTROL_FRAMES + records / (PAYLOAD_MAX / 16); i++)
		release_one(f);
	assert_int_equal(fill(f), 0); // consumed, but no snapshot holds it
	atomic_store(&f->channel.snapshot_number, records / 2);
	assert_true(fill(f) > 0);
	assert_non_null(retention_find(&f->sender.retention, records / 2));
	assert_null(retention_find(&f->sender.retention, 0));
	teardown(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items_arrive_once_in_order_at_any_credit_and_cut),
		cmocka_unit_test(test_cuts_do_not_change_the_checksum),
		cmocka_unit_test(test_credit_is_exactly_the_frames_and_comes_back),
		cmocka_unit_test(test_marks_pass_where_data_has_no_credit),
		cmocka_unit_test(test_data_frames_repeat_the_last_mark),
		cmocka_unit_test(test_resent_items_are_cut_anew_and_stay_the_same),
		cmocka_unit_test(test_a_replaying_sender_runs_on_without_credit),
		cmocka_unit_test(test_what_a_snapshot_holds_is_not_sent_again),
		cmocka_unit_test(test_overlap_is_trimmed),
		cmocka_unit_test(test_a_frame_behind_a_gap_is_dropped_and_given_back),
		cmocka_unit_test(test_nothing_of_a_fenced_incarnation_is_taken),
		cmocka_unit_test(test_a_damaged_frame_is_dropped_and_given_back),
		cmocka_unit_test(test_retention_bounds_data_and_leaves_room_for_marks),
	};
	bool huge;
	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
