// Flow rules (DPDK's rte_flow): UDP port base + worker goes to that worker's queue.
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <string.h>

#include "dataplane/link_port_parts.h"

static struct rte_flow *rule_create(const struct link_port *port, uint32_t queue)
{
	struct rte_flow_error error;
	struct rte_flow_attr attributes = {.ingress = 1};
	struct rte_flow_item_udp udp = {
		.hdr.dst_port = rte_cpu_to_be_16((uint16_t)(port->local.port_first + queue))};
	struct rte_flow_item_udp mask = {.hdr.dst_port = 0xffff};
	struct rte_flow_action_queue to = {.index = (uint16_t)queue};
	struct rte_flow_item pattern[] = {{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = port->local.address.six ? RTE_FLOW_ITEM_TYPE_IPV6
						 : RTE_FLOW_ITEM_TYPE_IPV4},
		{.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &udp, .mask = &mask},
		{.type = RTE_FLOW_ITEM_TYPE_END}};
	struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
		{.type = RTE_FLOW_ACTION_TYPE_END}};
	if (rte_flow_validate(port->port_id, &attributes, pattern, actions, &error) != 0)
		return NULL;
	return rte_flow_create(port->port_id, &attributes, pattern, actions, &error);
}

bool link_flow_create(const struct link_port *port)
{
	struct rte_flow_error error;
	for (uint32_t queue = 0; queue < port->link.queue_count; queue++)
		if (rule_create(port, queue) == NULL) {
			rte_flow_flush(port->port_id, &error);
			return false;
		}
	return true;
}
