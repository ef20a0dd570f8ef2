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

static const struct link_place *place_for(const struct link_set *set, uint32_t port,
	const struct link_place *places, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (link_port_is_near(set->ports[port], &places[i].address))
			return &places[i];
	return &places[port % count];
}

static int join_peer(struct link_set *set, const struct link_set_peer *wanted, uint32_t *ret_peer)
{
	for (uint32_t i = 0; i < set->peer_count; i++) {
		const struct link_set_peer *known = &set->peers[i];
		if (memcmp(known->members, wanted->members, sizeof(wanted->members)) == 0) {
			*ret_peer = known->peer;
			return 0;
		}
	}
	if (set->peer_count == LINK_PEERS_MAX)
		return -ENOSPC;
	struct link_set_peer *new = &set->peers[set->peer_count];
	*new = *wanted;
	int error = links_peer(set->link, new->members, &new->peer);
	if (error != 0)
		return error;
	set->peer_count++;
	*ret_peer = new->peer;
	return 0;
}

int link_set_peer(struct link_set *set, const struct link_place *places, uint32_t count,
	uint16_t worker, uint32_t *ret_peer)
{
	struct link_set_peer wanted;
	bool reached = false;
	for (uint32_t i = 0; i < LINKS_MAX; i++)
		wanted.members[i] = LINKS_NO_PEER;
	for (uint32_t i = 0; i < set->count && count != 0; i++) {
		const struct link_place *to = place_for(set, i, places, count);
		int error = link_port_peer(set->ports[i], &to->address,
			(uint16_t)(to->port + worker), &wanted.members[i]);
		if (error == -ENOSPC)
			return error;
		reached |= error == 0;
	}
	return reached ? join_peer(set, &wanted, ret_peer) : -ENETUNREACH;
}
