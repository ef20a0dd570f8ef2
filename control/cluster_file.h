// The files that configure a cluster's processes and its clients, read and checked. Errors stand in
// their `errors`; destroy one in any case.  Thread: main.
#pragma once

#include "control/bus_socket.h"
#include "control/errors.h"
#include "control/link_params.h"
#include "control/meta_etcd.h"

enum { CLUSTER_ADDRESSES_MAX = 16 };

struct cluster_file {
	struct heap heap;
	struct errors errors;
	struct weir_value *raw, *values;
	struct bus_socket_config bus;
};

struct addresses {
	uint32_t count;
	const char *text[CLUSTER_ADDRESSES_MAX];
};

struct controller_file {
	struct cluster_file file;
	const char *name;
	struct addresses listen;
	const char *address;          // that others use
	const char *journal;          // folder; NULL: etcd
	struct meta_etcd_config etcd; // unless there is a journal
	int64_t lease_ns, heartbeat_ns, silence_ns, prepare_ns;
	uint32_t keep_jobs;
};

struct node_file {
	struct cluster_file file;
	const char *name, *host, *rack;
	struct addresses controllers;
	uint32_t workers; // 0: as many as the placement gives
	unsigned *cpus;   // NULL: left to the placement
	uint32_t cpu_count;
	int64_t wait; // as enum node_wait, -1: by the placement
	uint64_t memory;
	const char *storage; // folder, NULL: none
	uint32_t link_count;
	struct link_config links[LINKS_MAX];
};

struct client_file {
	struct cluster_file file;
	struct addresses controllers;
};

extern const struct weir_param controller_file_table[], node_file_table[], client_file_table[];

void controller_file_load(struct controller_file *config, const char *path);
void node_file_load(struct node_file *config, const char *path);
void client_file_load(struct client_file *config, const char *path);
// Say what making link `index` of a node found wrong, at the place in its file.
void node_file_link_problem(struct node_file *config, uint32_t index,
	const struct link_problem *problem);
void cluster_file_destroy(struct cluster_file *file);
