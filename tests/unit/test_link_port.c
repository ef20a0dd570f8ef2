// Links over ethdev ports: an in-process pair from end to end, and what a config may say wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/engine.h"
#include "dataplane/link_port.h"

enum { PAYLOAD = 100, ROUNDS = 100, POOL = 2047, PAIR_FRAMES = 1023 };

static const struct link_config base = {.device = "net_ring_t_0",
	.address = {{10, 0, 0, 1}, false},
	.prefix = 24,
	.port = 4000,
	.mtu = 1500,
	.buffers = 512};

struct fixture {
	struct rte_mempool *pool;
	struct link *links[2];
	uint32_t peers[2]; // of each end, the other
	int64_t now_ns;
};

static struct link_config end_config(int end, bool six)
{
	static const struct packet_address six_addresses[2] = {
		{{0xfd, [15] = 1}, true}, {{0xfd, [15] = 2}, true}};
	struct link_config c = base;
	c.device = end == 0 ? "net_ring_t_0" : "net_ring_t_1";
	c.address.bytes[3] = (uint8_t)(1 + end);
	if (six) {
		c.address = six_addresses[end];
		c.prefix = 64;
	}
	return c;
}

static void setup(struct fixture *f, bool six)
{
	struct link_problem problem;
	memset(f, 0, sizeof(*f));
	f->pool = rte_pktmbuf_pool_create("sent", POOL, 0, 0, 2048 + 128, SOCKET_ID_ANY);
	assert_non_null(f->pool);
	assert_int_equal(link_pair_create("t"), 0);
	for (int i = 0; i < 2; i++) {
		struct link_config c = end_config(i, six);
		assert_int_equal(link_port_create(&c, 1, &problem, &f->links[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		struct packet_address to = end_config(1 - i, six).address;
		assert_int_equal(link_port_peer(f->links[i], &to, 4000, &f->peers[i]), 0);
	}
}

static void teardown(struct fixture *f)
{
	for (int i = 0; i < 2; i++)
		f->links[i]->ops->destroy(f->links[i]);
	link_pair_destroy("t");
	assert_int_equal(rte_mempool_avail_count(f->pool), POOL);
	rte_mempool_free(f->pool);
}

static uint32_t receive_one(struct fixture *f, int end, struct rte_mbuf **ret_packet)
{
	struct rte_mbuf *packets[LINK_BURST];
	uint32_t count = f->links[end]->ops->receive(f->links[end], 0, packets, LINK_BURST);
	assert_true(count <= 1);
	if (count == 1)
		*ret_packet = packets[0];
	return count;
}

// Let both ends find each other.
static void settle(struct fixture *f)
{
	enum link_event event;
	struct rte_mbuf *none;
	for (int round = 0; round < ROUNDS; round++, f->now_ns += 1000000)
		for (int i = 0; i < 2; i++) {
			f->links[i]->ops->tick(f->links[i], f->now_ns, &event);
			assert_int_equal(event, round == 0 ? LINK_WENT_UP : LINK_NOTHING);
			assert_int_equal(receive_one(f, i, &none), 0);
		}
}

static struct rte_mbuf *make_packet(struct fixture *f, uint32_t bytes, uint8_t fill)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(f->pool);
	assert_non_null(m);
	memset(rte_pktmbuf_append(m, (uint16_t)bytes), fill, bytes);
	return m;
}

static void check_packet(const struct rte_mbuf *m, uint32_t bytes, uint8_t fill)
{
	assert_int_equal(m->data_len, bytes);
	assert_int_equal(m->pkt_len, bytes);
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_equal(*rte_pktmbuf_mtod_offset(m, uint8_t *, i), fill);
}

static void pass_packets(bool six)
{
	struct fixture f;
	struct rte_mbuf *m;
	setup(&f, six);
	m = make_packet(&f, PAYLOAD, 7);
	struct link *link = f.links[0];
	assert_int_equal(link->ops->send(link, 0, f.peers[0], &m, 1),
		0); // no tick: not up, unknown
	settle(&f);
	for (uint32_t bytes = 1; bytes <= link->packet_max; bytes += bytes < 64 ? 1 : 479) {
		for (int end = 0; end < 2; end++) {
			struct rte_mbuf *out = make_packet(&f, bytes, (uint8_t)bytes);
			link = f.links[end];
			assert_int_equal(link->ops->send(link, 0, f.peers[end], &out, 1), 1);
			assert_int_equal(receive_one(&f, 1 - end, &out), 1);
			check_packet(out, bytes, (uint8_t)bytes);
			rte_pktmbuf_free(out);
		}
	}
	check_packet(m, PAYLOAD, 7); // not taken: as it was given
	rte_pktmbuf_free(m);
	teardown(&f);
}

static void test_pass_packets_over_ip4(void **state)
{
	pass_packets(false);
}

static void test_pass_packets_over_ip6(void **state)
{
	pass_packets(true);
}

// A packet that is kept for being sent again is the sender's alone, and looks as before.
static void test_kept_packets_are_not_touched(void **state)
{
	struct fixture f;
	struct rte_mbuf *came = NULL;
	setup(&f, false);
	settle(&f);
	struct rte_mbuf *kept = make_packet(&f, PAYLOAD, 9);
	for (int i = 0; i < 3; i++) {
		rte_mbuf_refcnt_update(kept, 1);
		assert_int_equal(f.links[0]->ops->send(f.links[0], 0, f.peers[0], &kept, 1), 1);
		check_packet(kept, PAYLOAD, 9);
		assert_int_equal(receive_one(&f, 1, &came), 1);
		assert_ptr_not_equal(came, kept);
		check_packet(came, PAYLOAD, 9);
		memset(rte_pktmbuf_mtod(came, void *), 0, PAYLOAD);
		rte_pktmbuf_free(came);
		check_packet(kept, PAYLOAD, 9);
		assert_int_equal(rte_mbuf_refcnt_read(kept), 1);
	}
	rte_pktmbuf_free(kept);
	teardown(&f);
}

// What is not taken stays the caller's, unchanged.
static void test_full_queue(void **state)
{
	enum { BURST = 8 };
	struct fixture f;
	struct rte_mbuf *packets[LINK_BURST];
	uint32_t sent = 0, taken, came;
	setup(&f, false);
	settle(&f);
	struct link *link = f.links[0];
	do {
		for (int i = 0; i < BURST; i++)
			packets[i] = make_packet(&f, PAYLOAD, 3);
		taken = link->ops->send(link, 0, f.peers[0], packets, BURST);
		sent += taken;
		for (uint32_t i = taken; i < BURST; i++) {
			check_packet(packets[i], PAYLOAD, 3);
			rte_pktmbuf_free(packets[i]);
		}
	} while (taken == BURST);
	assert_int_equal(sent, PAIR_FRAMES);
	struct link_port_counters counters;
	link_port_report(link, &counters);
	assert_int_equal(counters.counted[LINK_PORT_SENT], sent);
	assert_int_equal(counters.counted[LINK_PORT_FULL], BURST - taken);
	assert_int_equal(counters.counted[LINK_PORT_SENT_BYTES], sent * (PAYLOAD + 42));
	for (; sent > 0; sent -= came) {
		came = link->ops->receive(f.links[1], 0, packets, LINK_BURST);
		assert_true(came > 0);
		rte_pktmbuf_free_bulk(packets, came);
	}
	teardown(&f);
}

// What comes to the port and is not for a session.
static void test_hostile_frames_are_counted(void **state)
{
	struct fixture f;
	struct rte_mbuf *m;
	uint16_t port;
	setup(&f, false);
	settle(&f);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_ring_t_0", &port), 0);
	m = make_packet(&f, 60, 0xff); // to all, of no known type
	assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
	m = make_packet(&f, 5, 0);
	assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
	m = make_packet(&f, 60, 0);
	assert_int_equal(rte_pktmbuf_chain(m, make_packet(&f, 60, 0)), 0);
	assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
	assert_int_equal(receive_one(&f, 1, &m), 0);
	struct link_port_counters counters;
	link_port_report(f.links[1], &counters);
	assert_int_equal(counters.dropped[PACKET_DROP_ETHER_TYPE], 1);
	assert_int_equal(counters.dropped[PACKET_DROP_SHORT], 1);
	assert_int_equal(counters.dropped[PACKET_DROP_SEGMENTED], 1);
	teardown(&f);
}

static void test_peers(void **state)
{
	struct fixture f;
	uint32_t peer;
	struct packet_address to = {{10, 0, 0, 2}, false};
	setup(&f, false);
	assert_int_equal(link_port_peer(f.links[0], &to, 4000, &peer), 0);
	assert_int_equal(peer, f.peers[0]);
	assert_int_equal(link_port_peer(f.links[0], &to, 4001, &peer), 0);
	assert_int_not_equal(peer, f.peers[0]);
	to.bytes[0] = 11; // no router leads there
	assert_int_equal(link_port_peer(f.links[0], &to, 4000, &peer), -ENETUNREACH);
	to = (struct packet_address){{10, 0, 0, 1}, false}; // itself
	assert_int_equal(link_port_peer(f.links[0], &to, 4000, &peer), -ENETUNREACH);
	to = (struct packet_address){{0xfd, [15] = 9}, true};
	assert_int_equal(link_port_peer(f.links[0], &to, 4000, &peer), -ENETUNREACH);
	to = (struct packet_address){{10, 0, 0, 2}, false};
	for (uint32_t i = 2; i < LINK_PEERS_MAX; i++)
		assert_int_equal(link_port_peer(f.links[0], &to, (uint16_t)(5000 + i), &peer), 0);
	assert_int_equal(link_port_peer(f.links[0], &to, 9999, &peer), -ENOSPC);
	teardown(&f);
}

static void test_null_port_takes_everything(void **state)
{
	struct link_config c = base;
	struct link_neighbour other = {{{10, 0, 0, 2}, false}, {2, 1, 1, 1, 1, 1}};
	struct link_problem problem;
	struct link *link;
	uint32_t peer;
	c.device = "net_null_t,size=64";
	c.neighbours = &other;
	c.neighbour_count = 1;
	assert_int_equal(link_port_create(&c, 2, &problem, &link), 0);
	assert_true(link->queue_count >= 1 && link->queue_count <= 2);
	assert_false(link->steers);
	assert_int_equal(link->packet_max, 1472);
	assert_int_equal(link_port_peer(link, &other.address, 4000, &peer), 0);
	struct rte_mempool *pool =
		rte_pktmbuf_pool_create("sent", 255, 0, 0, 2048 + 128, SOCKET_ID_ANY);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	rte_pktmbuf_append(m, 64);
	memset(rte_pktmbuf_mtod(m, void *), 5, 64);
	rte_mbuf_refcnt_update(m, 1);
	assert_int_equal(link->ops->send(link, 0, peer, &m, 1), 1); // known from the config
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);               // not copied, and yet as it was
	check_packet(m, 64, 5);
	rte_pktmbuf_free(m);
	struct rte_mbuf *packets[LINK_BURST];
	assert_int_equal(link->ops->receive(link, 0, packets, LINK_BURST), 0);
	struct link_port_counters counters;
	link_port_report(link, &counters);
	uint64_t dropped = 0;
	for (int i = 0; i < PACKET_DROP_COUNT; i++)
		dropped += counters.dropped[i];
	assert_int_equal(dropped, LINK_BURST);
	link->ops->destroy(link);
	rte_mempool_free(pool);
	assert_int_equal(rte_eth_dev_count_avail(), 0);
}

// ---- configs

static void set_mtu_small(struct link_config *c)
{
	c->mtu = 500;
}

static void set_mtu_over_memif_buffer(struct link_config *c)
{
	c->device = "net_memif_t,role=client,bsize=1024";
}

static void set_mtu_over_memif_default(struct link_config *c)
{
	c->device = "net_memif_t,role=client";
	c->mtu = 3000;
}

static void set_mtu_over_af_packet(struct link_config *c)
{
	c->device = "net_af_packet_t,iface=lo,framesz=1024";
}

static void set_mtu_over_af_xdp(struct link_config *c)
{
	c->device = "net_af_xdp_t,iface=lo";
	c->mtu = 4000;
}

static void set_mtu_over_interface(struct link_config *c)
{
	c->device = "net_af_packet_t,iface=none_such";
}

static void set_port_high(struct link_config *c)
{
	c->port = 65535;
}

static void set_address_multicast(struct link_config *c)
{
	c->address.bytes[0] = 224;
}

static void set_prefix_long(struct link_config *c)
{
	c->prefix = 33;
}

static void set_gateway_far(struct link_config *c)
{
	c->has_gateway = true;
	c->gateway = (struct packet_address){{10, 0, 1, 1}, false};
}

static void set_neighbour_far(struct link_config *c)
{
	static const struct link_neighbour far = {{{10, 0, 1, 1}, false}, {2}};
	c->neighbours = &far;
	c->neighbour_count = 1;
}

static void set_buffers_few(struct link_config *c)
{
	c->buffers = 10;
}

static void set_device_unknown(struct link_config *c)
{
	c->device = "net_nonsense0";
}

static void set_card_absent(struct link_config *c)
{
	c->device = "0000:ff:1f.7,queues=1";
}

static const struct bad_config {
	void (*set)(struct link_config *c);
	const char *member, *text;
} bad_configs[] = {
	{set_mtu_small, "mtu", "500 is out of bounds for net_ring; write 1280 to 9000"},
	{set_mtu_over_memif_buffer, "mtu",
		"1500 needs buffers of 1514 bytes and the device has 1024; lower mtu to 1010 or "
		"add bsize=2048 to device"},
	{set_mtu_over_memif_default, "mtu",
		"3000 needs buffers of 3014 bytes and the device has 2048; lower mtu to 2034 or "
		"add bsize=3072 to device"},
	{set_mtu_over_af_packet, "mtu",
		"1500 needs buffers of 1610 bytes and the device has 1024; lower mtu to 914 or "
		"add framesz=2048 to device"},
	{set_mtu_over_af_xdp, "mtu", "4000 is out of bounds for net_af_xdp; write 1280 to 3440"},
	{set_mtu_over_interface, "device",
		"there is no interface none_such (No such device); `ip link` lists them"},
	{set_port_high, "port", "65535 leaves no UDP ports for 2 workers; write at most 65534"},
	{set_address_multicast, "address", "is no address of a host; write one like 10.0.0.1/24"},
	{set_prefix_long, "address", "has a prefix of 33 bits; write 1 to 32"},
	{set_gateway_far, "gateway",
		"is not in the link's subnet; name the router's address there"},
	{set_neighbour_far, "neighbours",
		"entry 1 is not in the link's subnet; remove it, packets to it go to the gateway"},
	{set_buffers_few, "buffers", "10 is too few; write at least 512"},
	{set_device_unknown, "device",
		"net_nonsense0 is no device that DPDK knows; write one like net_memif0,… or "
		"0000:3b:00.0 (docs/links.md)"},
	{set_card_absent, "device",
		"0000:ff:1f.7: DPDK has no such card; look for it with `dpdk-devbind.py "
		"--status`, bind it to vfio-pci, switch on the IOMMU, and check this user's "
		"rights on /dev/vfio (docs/links.md)"},
};

static void test_bad_configs_say_what_to_do(void **state)
{
	for (size_t i = 0; i < sizeof(bad_configs) / sizeof(bad_configs[0]); i++) {
		struct link_config c = base;
		struct link_problem problem;
		struct link *link = NULL;
		bad_configs[i].set(&c);
		assert_true(link_port_create(&c, 2, &problem, &link) < 0);
		assert_null(link);
		assert_string_equal(problem.member, bad_configs[i].member);
		assert_string_equal(problem.text, bad_configs[i].text);
	}
}

static void test_cards_are_told_by_their_address(void **state)
{
	assert_true(engine_eal_is_pci("0000:3b:00.0"));
	assert_true(engine_eal_is_pci("3b:00.1,queues=2,mprq_en=1"));
	assert_false(engine_eal_is_pci("net_memif0,role=client"));
	assert_false(engine_eal_is_pci("0000:3b:00.0.0"));
	assert_false(engine_eal_is_pci("fe80::1,iface=eth0,0000:3b:00.0"));
	assert_false(engine_eal_is_pci(""));
}

int main(void)
{
	const char *card = "0000:ff:1f.7,queues=1"; // as a node with a card that is not there
	const struct engine_eal_config eal = {.bytes = 64 << 20, .pci_count = 1, .pci = &card};
	bool huge;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pass_packets_over_ip4),
		cmocka_unit_test(test_pass_packets_over_ip6),
		cmocka_unit_test(test_kept_packets_are_not_touched),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_hostile_frames_are_counted),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_null_port_takes_everything),
		cmocka_unit_test(test_bad_configs_say_what_to_do),
		cmocka_unit_test(test_cards_are_told_by_their_address),
	};
	if (engine_eal_start_with(&eal, &huge) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
