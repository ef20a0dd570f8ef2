#include "dataplane/link_set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/fault_link.h"
#include "dataplane/link_port.h"

static int member_create(struct link_set *set, const struct link_config *config, uint32_t workers,
	struct link_problem *ret_problem, struct link **ret_member)
{
	struct link **port = &set->ports[set->count], **fault = &set->faults[set->count];
	int error = link_port_create(config, workers, ret_problem, port);
	if (error != 0)
		return error;
	*ret_member = *port;
	if (config->faulty) {
		error = fault_link_create(*port, &config->faults, config->fault_seed, fault);
		if (error != 0) {
			(*port)->ops->destroy(*port);
			return error;
		}
		*ret_member = *fault;
	}
	set->count++;
	return 0;
}

int link_set_create(struct link_set *set, const struct link_config *configs, uint32_t count,
	uint32_t workers, uint32_t *ret_index, struct link_problem *ret_problem)
{
	struct link *members[LINKS_MAX];
	int error = 0;
	*set = (struct link_set){0};
	*ret_problem = (struct link_problem){.member = "device", .text = "no memory for it"};
	for (uint32_t i = 0; i < count && error == 0; i++) {
		*ret_index = i;
		error = member_create(set, &configs[i], workers, ret_problem, &members[i]);
	}
	if (error == 0)
		error = links_create(members, count, workers, &set->link);
	if (error != 0)
		link_set_destroy(set);
	return error;
}

void link_set_destroy(struct link_set *set)
{
	if (set == NULL)
		return;
	for (uint32_t i = 0; set->link == NULL && i < set->count; i++) {
		struct link *member = set->faults[i] != NULL ? set->faults[i] : set->ports[i];
		member->ops->destroy(member);
	}
	if (set->link != NULL)
		set->link->ops->destroy(set->link);
	*set = (struct link_set){0};
}

int link_set_peer(struct link_set *set, const struct packet_address *addresses, uint32_t count,
	uint16_t udp_port, uint32_t *ret_peer)
{
	uint32_t peers[LINKS_MAX];
	int error = -ENETUNREACH;
	for (uint32_t i = 0; i < set->count; i++) {
		const struct packet_address *to = &addresses[i % count];
		for (uint32_t j = count; j-- > 0;)
			if (link_port_is_near(set->ports[i], &addresses[j]))
				to = &addresses[j];
		int found = link_port_peer(set->ports[i], to, udp_port, &peers[i]);
		if (found == -ENOSPC)
			return found;
		if (found == 0)
			error = 0;
		else
			peers[i] = LINKS_NO_PEER;
	}
	return error != 0 ? error : links_peer(set->link, peers, ret_peer);
}
