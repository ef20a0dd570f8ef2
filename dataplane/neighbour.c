#include "dataplane/neighbour.h"

#include <errno.h>
#include <string.h>

#include "dataplane/neighbour_message.h"
#include "numa/assert.h"

const char *const neighbour_counter_names[NEIGHBOUR_COUNTER_COUNT] = {
#define X(id, name) name,
	NEIGHBOUR_COUNTERS(X)
#undef X
};

static const uint64_t known = (uint64_t)1 << 63;
static const int64_t second_ns = 1000000000;

static uint64_t station_pack(const uint8_t mac[PACKET_MAC_BYTES])
{
	uint64_t station = 0;
	memcpy(&station, mac, PACKET_MAC_BYTES);
	return known | station;
}

void neighbour_init(struct neighbour_table *table, const struct packet_local *local,
	uint32_t prefix, const struct packet_address *gateway)
{
	memset(table, 0, sizeof(*table));
	table->local = *local;
	table->prefix = prefix;
	table->has_gateway = gateway != NULL;
	if (gateway != NULL)
		table->gateway = *gateway;
	table->answers_left = NEIGHBOUR_ANSWERS_PER_SECOND;
}

static struct neighbour_entry *find(struct neighbour_table *table, const struct packet_address *a)
{
	uint32_t count = atomic_load_explicit(&table->count, memory_order_acquire);
	for (uint32_t i = 0; i < count; i++)
		if (packet_address_equal(&table->entries[i].address, a))
			return &table->entries[i];
	return NULL;
}

int neighbour_add(struct neighbour_table *table, const struct packet_address *to,
	const uint8_t *mac, uint32_t *ret_index)
{
	const struct packet_address *hop = to;
	uint32_t count = atomic_load_explicit(&table->count, memory_order_relaxed);
	if (!packet_address_near(to, &table->local.address, table->prefix)) {
		if (!table->has_gateway)
			return -ENETUNREACH;
		hop = &table->gateway;
	}
	struct neighbour_entry *entry = find(table, hop);
	if (entry == NULL) {
		if (count == NEIGHBOURS_MAX)
			return -ENOSPC;
		entry = &table->entries[count];
		*entry = (struct neighbour_entry){.address = *hop, .fixed = mac != NULL};
		if (mac != NULL)
			atomic_init(&entry->station, station_pack(mac));
		atomic_store_explicit(&table->count, count + 1, memory_order_release);
	}
	*ret_index = (uint32_t)(entry - table->entries);
	return 0;
}

bool neighbour_mac(const struct neighbour_table *table, uint32_t index,
	uint8_t ret_mac[PACKET_MAC_BYTES])
{
	uint64_t station =
		atomic_load_explicit(&table->entries[index].station, memory_order_acquire);
	memcpy(ret_mac, &station, PACKET_MAC_BYTES);
	return (station & known) != 0;
}

// ---- messages out

static void put(struct neighbour_table *table, enum neighbour_counter counter,
	const struct message_parts *parts)
{
	if (table->out_count == NEIGHBOUR_OUT_MAX) {
		table->counters[NEIGHBOUR_LIMITED]++;
		return;
	}
	struct neighbour_message *m =
		&table->out[(table->out_first + table->out_count++) % NEIGHBOUR_OUT_MAX];
	m->length = message_write(m->bytes, &table->local, parts);
	table->counters[counter]++;
}

uint32_t neighbour_take(struct neighbour_table *table, uint8_t out[NEIGHBOUR_MESSAGE_MAX])
{
	if (table->out_count == 0)
		return 0;
	const struct neighbour_message *m = &table->out[table->out_first];
	memcpy(out, m->bytes, m->length);
	table->out_first = (table->out_first + 1) % NEIGHBOUR_OUT_MAX;
	table->out_count--;
	return m->length;
}

// A station that is known is asked itself, so that a refresh bothers nobody else.
static void ask(struct neighbour_table *table, const struct neighbour_entry *entry)
{
	struct message_parts parts = {.kind = MESSAGE_REQUEST, .about = entry->address};
	uint64_t station = atomic_load_explicit(&entry->station, memory_order_relaxed);
	parts.to_one = (station & known) != 0;
	memcpy(parts.to_mac, &station, PACKET_MAC_BYTES);
	put(table, NEIGHBOUR_ASKED, &parts);
}

static void entry_due(struct neighbour_table *table, struct neighbour_entry *entry, int64_t now_ns)
{
	bool is_known = atomic_load_explicit(&entry->station, memory_order_relaxed) != 0;
	if (is_known && entry->tries >= NEIGHBOUR_TRIES) {
		atomic_store_explicit(&entry->station, 0, memory_order_release);
		table->counters[NEIGHBOUR_LOST]++;
		entry->tries = 0;
	}
	ask(table, entry);
	int64_t wait_ns = NEIGHBOUR_RETRY_MIN_NS << (entry->tries < 10 ? entry->tries : 10);
	if (is_known || wait_ns > NEIGHBOUR_RETRY_MAX_NS)
		wait_ns = NEIGHBOUR_RETRY_MAX_NS;
	entry->tries++;
	entry->due_ns = now_ns + wait_ns;
}

int64_t neighbour_step(struct neighbour_table *table, int64_t now_ns)
{
	int64_t next_ns = now_ns + NEIGHBOUR_RETRY_MAX_NS; // for those that are added meanwhile
	uint32_t count = atomic_load_explicit(&table->count, memory_order_acquire);
	for (uint32_t i = 0; i < count; i++) {
		struct neighbour_entry *entry = &table->entries[i];
		if (entry->fixed)
			continue;
		if (entry->due_ns <= now_ns && table->out_count < NEIGHBOUR_OUT_MAX)
			entry_due(table, entry, now_ns);
		if (entry->due_ns < next_ns)
			next_ns = entry->due_ns;
	}
	return next_ns;
}

void neighbour_restart(struct neighbour_table *table, int64_t now_ns)
{
	uint32_t count = atomic_load_explicit(&table->count, memory_order_acquire);
	struct message_parts parts = {.kind = MESSAGE_ANNOUNCE};
	put(table, NEIGHBOUR_ANSWERED, &parts);
	for (uint32_t i = 0; i < count; i++) {
		table->entries[i].tries = 0;
		table->entries[i].due_ns = now_ns;
	}
}

// ---- messages in

static void learn(struct neighbour_table *table, const struct message_parts *said, int64_t now_ns)
{
	struct neighbour_entry *entry = find(table, &said->from);
	if (entry == NULL || entry->fixed) {
		table->counters[NEIGHBOUR_UNWANTED] += said->kind != MESSAGE_REQUEST;
		return;
	}
	uint64_t station = station_pack(said->from_mac);
	if (atomic_load_explicit(&entry->station, memory_order_relaxed) != station) {
		atomic_store_explicit(&entry->station, station, memory_order_release);
		table->counters[NEIGHBOUR_LEARNED]++;
	}
	entry->tries = 0;
	entry->due_ns = now_ns + NEIGHBOUR_REFRESH_NS;
}

static void answer(struct neighbour_table *table, const struct message_parts *asked, int64_t now_ns)
{
	struct message_parts parts = {.kind = MESSAGE_ANSWER, .about = asked->from, .to_one = true};
	if (now_ns - table->answers_since_ns >= second_ns) {
		table->answers_since_ns = now_ns;
		table->answers_left = NEIGHBOUR_ANSWERS_PER_SECOND;
	}
	if (table->answers_left == 0) {
		table->counters[NEIGHBOUR_LIMITED]++;
		return;
	}
	table->answers_left--;
	if (asked->is_probe) // it has no address yet that could be answered to
		parts = (struct message_parts){.kind = MESSAGE_ANNOUNCE};
	memcpy(parts.to_mac, asked->from_mac, PACKET_MAC_BYTES);
	put(table, NEIGHBOUR_ANSWERED, &parts);
}

enum packet_drop neighbour_receive(struct neighbour_table *table, const uint8_t *frame,
	uint32_t bytes, int64_t now_ns)
{
	struct message_parts said;
	enum packet_drop drop =
		neighbour_message_read(frame, bytes, table->local.address.six, &said);
	if (drop != PACKET_DROP_COUNT)
		return drop;
	if (memcmp(said.from_mac, table->local.mac, PACKET_MAC_BYTES) == 0)
		return PACKET_DROP_COUNT; // our own, reflected
	if (packet_address_equal(&said.from, &table->local.address)) {
		table->counters[NEIGHBOUR_CONFLICT]++;
		return PACKET_DROP_COUNT;
	}
	if (!said.is_probe)
		learn(table, &said, now_ns);
	if (said.kind == MESSAGE_REQUEST &&
		packet_address_equal(&said.about, &table->local.address))
		answer(table, &said, now_ns);
	return PACKET_DROP_COUNT;
}
