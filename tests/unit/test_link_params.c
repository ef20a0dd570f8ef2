// The links section of a node's config: what is read, and what is said about mistakes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/link_params.h"
#include "control/yaml.h"
#include "error_text.h"

struct fixture {
	struct heap heap;
	struct errors errors;
	struct params_scope scope;
	const struct weir_value *list;
	struct link_config configs[LINKS_MAX];
};

static uint32_t load(struct fixture *f, const char *text)
{
	memset(f, 0, sizeof(*f));
	f->errors.heap = &f->heap;
	struct weir_value *root = yaml_parse(&f->heap, &f->errors, "n.yaml", text, strlen(text));
	assert_non_null(root);
	f->list = weir_param_find(root, "links");
	f->scope =
		(struct params_scope){.heap = &f->heap, .errors = &f->errors, .root = {root, ""}};
	return link_params_load(&f->scope, f->list, f->configs);
}

static void check_errors(const char *text, const char *expected)
{
	struct fixture f;
	load(&f, text);
	assert_errors(&f.errors, expected);
	heap_destroy(&f.heap);
}

static void test_everything_is_read(void **state)
{
	struct fixture f;
	static const struct packet_address six = {{0xfd, [15] = 7}, true};
	uint32_t count = load(&f,
		"links:\n- device: net_memif0,role=client\n  address: 10.0.0.1/24\n"
		"- device: 0000:3b:00.0\n  address: fd00::7/64\n  gateway: fd00::1\n  port: 5000\n"
		"  mtu: 9000\n  queues: 4\n  buffers: 8192\n"
		"  neighbours: [{address: fd00::2, mac: 02:00:00:00:00:ab}]\n"
		"  faults: {loss: 5%, duplicate: 0.1%, reorder: 100%, corrupt: 0%, delay: 2ms, "
		"jitter: 10us, seed: 9}\n");
	assert_errors(&f.errors, "");
	assert_int_equal(count, 2);
	const struct link_config *c = &f.configs[0];
	assert_string_equal(c->device, "net_memif0,role=client");
	assert_memory_equal(c->address.bytes, ((uint8_t[]){10, 0, 0, 1}), 4);
	assert_int_equal(c->prefix, 24);
	assert_int_equal(c->port, 4000);
	assert_int_equal(c->mtu, 1500);
	assert_int_equal(c->queues, 0);
	assert_int_equal(c->buffers, 4096);
	assert_false(c->faulty || c->has_gateway || c->neighbour_count);
	c = &f.configs[1];
	assert_true(packet_address_equal(&c->address, &six));
	assert_true(c->has_gateway && c->gateway.six && c->gateway.bytes[15] == 1);
	assert_int_equal(c->port, 5000);
	assert_int_equal(c->mtu, 9000);
	assert_int_equal(c->queues, 4);
	assert_int_equal(c->buffers, 8192);
	assert_int_equal(c->neighbour_count, 1);
	assert_int_equal(c->neighbours[0].mac[5], 0xab);
	assert_int_equal(c->neighbours[0].address.bytes[15], 2);
	assert_true(c->faulty);
	assert_int_equal(c->faults.loss, 50000);
	assert_int_equal(c->faults.duplicate, 1000);
	assert_int_equal(c->faults.reorder, FAULT_ONE);
	assert_int_equal(c->faults.corrupt, 0);
	assert_int_equal(c->faults.delay_ns, 2000000);
	assert_int_equal(c->faults.jitter_ns, 10000);
	assert_int_equal(c->fault_seed, 9);
	heap_destroy(&f.heap);
}

static void test_mistakes(void **state)
{
	check_errors("links: 3\n",
		"n.yaml:1: links: is no list; write `- device: …` and "
		"`address: …` for each\n");
	check_errors("links:\n- device: d\n",
		"n.yaml:2: links[1]: address is missing; add "
		"`address:` (This node's address on the link, with the subnet: "
		"10.0.0.1/24.)\n");
	check_errors("links:\n- device: d\n  address: 10.0.0.1\n",
		"n.yaml:3: links[1].address: "
		"10.0.0.1 lacks its subnet; write one like 10.0.0.1/24\n");
	check_errors("links:\n- device: d\n  address: 10.0.1/24\n",
		"n.yaml:3: links[1].address: "
		"10.0.1/24 is no address; write one like 10.0.0.1 or fd00::1\n");
	check_errors("links:\n- device: d\n  address: 10.0.0.1/x\n",
		"n.yaml:3: "
		"links[1].address: 10.0.0.1/x has no number behind /; write one like "
		"10.0.0.1/24\n");
	check_errors("links:\n- device: d\n  address: 10.0.0.1/24\n  gateway: 10.0.0.2/24\n",
		"n.yaml:4: links[1].gateway: 10.0.0.2/24 has a subnet; write the address alone\n");
	check_errors("links:\n- device: d\n  address: 10.0.0.1/24\n  mtu: 64\n",
		"n.yaml:4: links[1].mtu: 64 is out of bounds; write 1280 to 9000\n");
	check_errors("links:\n- device: d\n  address: 10.0.0.1/24\n  faults: {loss: 5}\n",
		"n.yaml:4: links[1].faults.loss: 5 is no share; write 0% to 100%\n");
	check_errors("links:\n- device: d\n  address: 10.0.0.1/24\n  faults: {loss: 101%}\n",
		"n.yaml:4: links[1].faults.loss: 101% is no share; write 0% to 100%\n");
	check_errors("links:\n- device: d\n  address: 10.0.0.1/24\n"
		     "  neighbours: [{address: 10.0.0.2, mac: 03:00:00:00:00:00}]\n",
		"n.yaml:4: links[1].neighbours[1].mac: 03:00:00:00:00:00 is no station's "
		"address; write one like 02:00:00:00:00:01\n");
}

static void test_a_name_that_is_none(void **state)
{
	struct fixture f;
	load(&f, "links:\n- device: d\n  address: 10.0.0.1/24\n  mut: 1500\n");
	assert_int_equal(f.errors.count, 1);
	assert_int_equal(f.errors.lines[0].line, 4);
	assert_non_null(strstr(f.errors.lines[0].text, "is not a parameter of a link"));
	heap_destroy(&f.heap);
}

static void test_what_a_device_finds_wrong_has_its_place(void **state)
{
	struct fixture f;
	struct link_problem problem = {.member = "mtu", .text = "3000 needs more"};
	load(&f, "links:\n- device: d\n  address: 10.0.0.1/24\n  mtu: 3000\n");
	link_params_problem(&f.scope, f.list, 0, &problem);
	problem.member = "buffers"; // a default
	link_params_problem(&f.scope, f.list, 0, &problem);
	assert_errors(&f.errors,
		"n.yaml:2: links[1]: buffers: 3000 needs more\n"
		"n.yaml:4: links[1].mtu: 3000 needs more\n");
	heap_destroy(&f.heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_is_read),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_a_name_that_is_none),
		cmocka_unit_test(test_what_a_device_finds_wrong_has_its_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
