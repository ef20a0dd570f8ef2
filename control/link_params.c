#include "control/link_params.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEIGHBOURS_LISTED_MAX = 256 };

static const struct weir_param fault_table[] = {
	{.name = "loss",
		.type = WEIR_PARAM_STRING,
		.default_text = "0%",
		.doc = "Share of the received packets that are lost, 0% to 100%."},
	{.name = "duplicate",
		.type = WEIR_PARAM_STRING,
		.default_text = "0%",
		.doc = "Share of the received packets that come twice."},
	{.name = "reorder",
		.type = WEIR_PARAM_STRING,
		.default_text = "0%",
		.doc = "Share of the received packets that are held back for up to 1 ms, so that "
		       "others overtake them."},
	{.name = "corrupt",
		.type = WEIR_PARAM_STRING,
		.default_text = "0%",
		.doc = "Share of the received packets in which one bit is turned."},
	{.name = "delay",
		.type = WEIR_PARAM_DURATION,
		.default_text = "0",
		.min = 0,
		.max = 10000000000,
		.doc = "Time that every packet is held back."},
	{.name = "jitter",
		.type = WEIR_PARAM_DURATION,
		.default_text = "0",
		.min = 0,
		.max = 10000000000,
		.doc = "More time, different for each packet, up to this."},
	{.name = "seed",
		.type = WEIR_PARAM_INT,
		.default_text = "1",
		.min = 0,
		.max = INT64_MAX,
		.doc = "Equal seeds make equal choices."},
	{.name = NULL},
};

const struct weir_param link_table[] = {
	{.name = "device",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "DPDK's device arguments: 0000:3b:00.0, or net_memif0,role=client,…"},
	{.name = "address",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "This node's address on the link, with the subnet: 10.0.0.1/24."},
	{.name = "gateway",
		.type = WEIR_PARAM_STRING,
		.doc = "The router's address, for nodes outside the subnet."},
	{.name = "port",
		.type = WEIR_PARAM_INT,
		.default_text = "4000",
		.min = 1,
		.max = 65535,
		.doc = "UDP port of worker 0; worker w has port + w."},
	{.name = "mtu",
		.type = WEIR_PARAM_INT,
		.default_text = "1500",
		.min = PACKET_MTU_MIN,
		.max = LINK_MTU_MAX,
		.doc = "Bytes of an IP packet."},
	{.name = "queues",
		.type = WEIR_PARAM_INT,
		.default_text = "0",
		.min = 0,
		.max = LINK_QUEUES_MAX,
		.doc = "Queues of the port; 0: one per worker, or as many as the port has."},
	{.name = "buffers",
		.type = WEIR_PARAM_INT,
		.default_text = "4096",
		.min = LINK_BUFFERS_MIN,
		.max = 1 << 20,
		.doc = "Packets of each queue that may lie received and not yet consumed."},
	{.name = "faults",
		.type = WEIR_PARAM_MAP,
		.children = fault_table,
		.doc = "Faults put over the link, to see how the cluster bears them."},
	{.name = NULL},
};

static const struct weir_param list_names[] = {{.name = "neighbours"}, {.name = NULL}};

static const struct weir_param neighbour_params[] = {
	{.name = "address", .type = WEIR_PARAM_STRING, .required = true, .doc = "IP address"},
	{.name = "mac", .type = WEIR_PARAM_STRING, .required = true, .doc = "its station"},
	{.name = NULL},
};

static void complain(const struct params_scope *scope, const struct weir_value *at,
	const char *remedy)
{
	errors_add_at(scope->errors, &scope->root, at, "%s %s", at->text, remedy);
}

// With `prefix`, of an address with its subnet's length.  Returns false after an error.
static bool read_address(const struct params_scope *scope, const struct weir_value *at,
	struct packet_address *out, uint32_t *prefix)
{
	char text[64], *slash, *end;
	if (at == NULL || at->text == NULL)
		return false;
	snprintf(text, sizeof(text), "%s", at->text);
	slash = strchr(text, '/');
	if ((slash != NULL) != (prefix != NULL)) {
		complain(scope, at,
			prefix != NULL ? "lacks its subnet; write one like 10.0.0.1/24"
				       : "has a subnet; write the address alone");
		return false;
	}
	if (slash != NULL) {
		*slash = '\0';
		*prefix = (uint32_t)strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end != '\0') {
			complain(scope, at, "has no number behind /; write one like 10.0.0.1/24");
			return false;
		}
	}
	*out = (struct packet_address){.six = strchr(text, ':') != NULL};
	if (inet_pton(out->six ? AF_INET6 : AF_INET, text, out->bytes) == 1)
		return true;
	complain(scope, at, "is no address; write one like 10.0.0.1 or fd00::1");
	return false;
}

static void read_mac(const struct params_scope *scope, const struct weir_value *at,
	uint8_t mac[PACKET_MAC_BYTES])
{
	unsigned bytes[PACKET_MAC_BYTES];
	char behind;
	if (at == NULL || at->text == NULL)
		return;
	if (sscanf(at->text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2],
		    &bytes[3], &bytes[4], &bytes[5], &behind) != PACKET_MAC_BYTES ||
		bytes[0] & 1) {
		complain(scope, at, "is no station's address; write one like 02:00:00:00:00:01");
		return;
	}
	for (int i = 0; i < PACKET_MAC_BYTES; i++)
		mac[i] = (uint8_t)bytes[i];
}

// "5%" or "0.1%" as parts of FAULT_ONE.
static uint32_t read_share(const struct params_scope *scope, const struct weir_value *map,
	const char *name)
{
	const struct weir_value *at = weir_param_find(map, name);
	char *end;
	if (at == NULL || at->text == NULL)
		return 0;
	double share = strtod(at->text, &end);
	if (end != at->text && strcmp(end, "%") == 0 && share >= 0 && share <= 100)
		return (uint32_t)(share * (FAULT_ONE / 100) + 0.5);
	complain(scope, at, "is no share; write 0% to 100%");
	return 0;
}

// `raw` is `map` as written, whose places errors name.
static void read_faults(const struct params_scope *scope, const struct weir_value *raw,
	const struct weir_value *map, struct link_config *config)
{
	enum { REORDER_NS = 1000000 };
	if (map == NULL || map->kind != WEIR_VALUE_MAP || raw->kind != WEIR_VALUE_MAP)
		return;
	config->faulty = true;
	config->fault_seed = (uint64_t)weir_param_int(map, "seed", 1);
	config->faults = (struct fault_rates){.loss = read_share(scope, raw, "loss"),
		.duplicate = read_share(scope, raw, "duplicate"),
		.reorder = read_share(scope, raw, "reorder"),
		.corrupt = read_share(scope, raw, "corrupt"),
		.delay_ns = weir_param_int(map, "delay", 0),
		.jitter_ns = weir_param_int(map, "jitter", 0),
		.reorder_ns = REORDER_NS};
}

static bool check_list(const struct params_scope *scope, const struct weir_value *list,
	uint32_t max, const char *example)
{
	if (list->kind != WEIR_VALUE_LIST || list->count == 0) {
		errors_add_at(scope->errors, &scope->root, list, "is no list; write %s", example);
		return false;
	}
	if (list->count > max) {
		errors_add_at(scope->errors, &scope->root, list, "has %u entries; write at most %u",
			list->count, max);
		return false;
	}
	return true;
}

// The filled-in copy of an entry of a list.
static struct weir_value *read_map(const struct params_scope *scope, const struct weir_param *table,
	const struct weir_param *other, const struct weir_value *map, const char *what)
{
	if (map->kind != WEIR_VALUE_MAP) {
		errors_add_at(scope->errors, &scope->root, map, "is no map; write `- %s: …`",
			table->name);
		return NULL;
	}
	params_check_names(scope, table, other, map, what);
	return params_fill(scope, table, map);
}

static void read_neighbours(const struct params_scope *scope, const struct weir_value *list,
	struct link_config *config)
{
	if (list == NULL ||
		!check_list(scope, list, NEIGHBOURS_LISTED_MAX,
			"`- {address: 10.0.0.2, mac: 02:00:00:00:00:02}` for each"))
		return;
	struct link_neighbour *neighbours =
		heap_alloc(scope->heap, list->count * sizeof(*neighbours));
	for (uint32_t i = 0; i < list->count; i++) {
		const struct weir_value *map = list->items[i];
		neighbours[i] = (struct link_neighbour){0};
		if (read_map(scope, neighbour_params, NULL, map, "a neighbour") == NULL)
			continue;
		read_address(scope, weir_param_find(map, "address"), &neighbours[i].address, NULL);
		read_mac(scope, weir_param_find(map, "mac"), neighbours[i].mac);
	}
	config->neighbours = neighbours;
	config->neighbour_count = list->count;
}

static void read_link(const struct params_scope *scope, const struct weir_value *raw,
	struct link_config *config)
{
	const struct weir_value *map = read_map(scope, link_table, list_names, raw, "a link");
	*config = (struct link_config){0};
	if (map == NULL)
		return;
	const struct weir_value *gateway = weir_param_find(raw, "gateway");
	config->device = weir_param_text(map, "device", "");
	read_address(scope, weir_param_find(raw, "address"), &config->address, &config->prefix);
	config->has_gateway =
		gateway != NULL && read_address(scope, gateway, &config->gateway, NULL);
	config->port = (uint16_t)weir_param_int(map, "port", 0);
	config->mtu = (uint32_t)weir_param_int(map, "mtu", 0);
	config->queues = (uint32_t)weir_param_int(map, "queues", 0);
	config->buffers = (uint32_t)weir_param_int(map, "buffers", 0);
	read_neighbours(scope, weir_param_find(raw, "neighbours"), config);
	read_faults(scope, weir_param_find(raw, "faults"), weir_param_find(map, "faults"), config);
}

uint32_t link_params_load(const struct params_scope *scope, const struct weir_value *list,
	struct link_config configs[LINKS_MAX])
{
	if (!check_list(scope, list, LINKS_MAX, "`- device: …` and `address: …` for each"))
		return 0;
	for (uint32_t i = 0; i < list->count; i++)
		read_link(scope, list->items[i], &configs[i]);
	return list->count;
}

void link_params_problem(const struct params_scope *scope, const struct weir_value *list,
	uint32_t index, const struct link_problem *problem)
{
	const struct weir_value *at = weir_param_find(list->items[index], problem->member);
	errors_add_at(scope->errors, &scope->root, at != NULL ? at : list->items[index], "%s%s%s",
		at != NULL ? "" : problem->member, at != NULL ? "" : ": ", problem->text);
}
