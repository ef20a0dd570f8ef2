// What is said to etcd's JSON gateway (v3) and how its answers are read. Keys and values are
// base64, 64-bit numbers are texts. Texts returned are for free(). Thread: any.
#pragma once

#include "control/meta.h"

enum { ETCD_PREFIX_MAX = 128 };

// `space` is put before every key.
char *etcd_json_range(const char *space, const char *prefix);
char *etcd_json_watch(const char *space, const char *prefix);
char *etcd_json_txn(const char *space, const struct meta_txn *txn, int64_t lease);
char *etcd_json_grant(int64_t ttl_s);
char *etcd_json_lease(int64_t id); // for keepalive and revoke

struct etcd_range {
	struct meta_entry *entries;
	uint32_t count;
	int64_t revision;
};

// Read an answer, keys without `space`.  Returns 0 or -EBADMSG.
int etcd_json_read_range(const char *body, size_t bytes, const char *space,
	struct etcd_range *ret_range);
void etcd_range_free(struct etcd_range *range);

int etcd_json_read_txn(const char *body, size_t bytes, bool *ret_succeeded, int64_t *ret_revision);

// Of a grant or a keepalive; a TTL of 0 or less: there is no such lease.
int etcd_json_read_lease(const char *body, size_t bytes, int64_t *ret_id, int64_t *ret_ttl_s);

// What an error says for a transaction: REFUSED when it certainly did not take place, else UNKNOWN;
// with its text as one line.
enum meta_outcome etcd_json_read_error(const char *body, size_t bytes, char *text, size_t room);
