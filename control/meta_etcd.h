// Metadata in etcd (3.4 or later) through its JSON gateway. Revisions are compared at etcd; a
// transaction that may have reached it is never sent again: without an answer it is UNKNOWN. Reads
// are linearizable, and asked of the next endpoint when one does not answer. Watches are hints, and
// one comes every few seconds anyway. What to run: docs/metadata.md.
// Thread: the loop's. Events come from the loop and from step alone.
#pragma once

#include "control/meta.h"
#include "control/tls.h"

struct event_base;

enum {
	META_ETCD_WHY_BYTES = 512,
	META_ETCD_QUEUE_MAX = 256,
	META_ETCD_WATCHES_MAX = 8,
	META_ETCD_ENDPOINTS_MAX = 9
};

struct meta_etcd_config {
	const char *endpoints[META_ETCD_ENDPOINTS_MAX]; // http://host:port, https://host:port
	uint32_t endpoint_count;
	const char *space;    // put before every key; NULL: "weir/"
	struct tls_files tls; // for https; all three, or none
	int64_t timeout_ns;   // of a request; 0: 2 s
	int64_t hint_ns;      // between hints without a watch's; 0: 5 s
};

// Returns NULL, or what is wrong with the config.
const char *meta_etcd_config_wrong(const struct meta_etcd_config *config);

// Texts of the config are copied, but those of the files.  Returns 0 or -errno with one line. etcd
// need not be there yet.
int meta_etcd_create(struct event_base *base, const struct meta_etcd_config *config,
	const struct meta_events *events, struct meta **ret_meta,
	char ret_why[META_ETCD_WHY_BYTES]);
