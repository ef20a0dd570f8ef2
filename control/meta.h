// Metadata: a small map from keys to values with revisions, changed only by compare-and-swap
// transactions. Two real implementations (a journal of one controller; etcd) and the simulator's.
// Thread: the control plane's event loop. Requests are bounded in time and may end as "unknown":
// then whether the transaction took place must be found out by reading.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { META_KEY_MAX = 256, META_VALUE_MAX = 1 << 20, META_OPS_MAX = 32 };

struct meta_entry {
	const char *key;
	const void *value;
	size_t bytes;
	int64_t revision; // of its last change; 0: there is none
};

// All comparisons hold, or nothing is changed. A comparison with revision 0: the key is absent.
// A key is put at most once in a transaction. Requests may be answered in another order.
struct meta_compare {
	const char *key;
	int64_t revision;
};

struct meta_put {
	const char *key;
	const void *value; // NULL: delete
	size_t bytes;
	bool leased; // goes away with this client's lease; refused while it has none
};

struct meta_txn {
	const struct meta_compare *compares;
	uint32_t compare_count;
	const struct meta_put *puts;
	uint32_t put_count;
};

enum meta_outcome {
	META_DONE,     // a transaction took place; `revision` is its revision
	META_CONFLICT, // a comparison failed, nothing changed
	META_UNKNOWN,  // no answer in time: it may have taken place, or may yet
	META_REFUSED,  // too large, malformed, full: it did not take place
};

// Answers and hints, called from meta_step or the loop. Entries live until the call returns.
struct meta_events {
	void (*answered)(void *owner, uint64_t request, enum meta_outcome outcome,
		int64_t revision);
	void (*listed)(void *owner, uint64_t request, enum meta_outcome outcome,
		const struct meta_entry *entries, uint32_t count, int64_t revision);
	// A hint: something under the watched prefix may have changed. May be lost or come twice.
	void (*changed)(void *owner);
	// The lease holds until `until_ns` (the client's own clock, counted from before the request
	// was sent); 0: it is lost, and what was put with it. A later call is of a new one.
	void (*lease)(void *owner, int64_t until_ns);
	void *owner;
};

struct meta;

struct meta_ops {
	// `request` is the caller's number, given back with the answer. Return 0 or -errno (full).
	int (*txn)(struct meta *meta, uint64_t request, const struct meta_txn *txn, int64_t now_ns);
	int (*list)(struct meta *meta, uint64_t request, const char *prefix, int64_t now_ns);
	int (*watch)(struct meta *meta, const char *prefix);
	int (*keep_lease)(struct meta *meta, int64_t ttl_ns); // begin, and renew from now on
	int64_t (*step)(struct meta *meta, int64_t now_ns);   // returns the next deadline
	// What is wrong at present, as one line for the status; NULL: nothing. May be missing.
	const char *(*trouble)(const struct meta *meta);
	void (*destroy)(struct meta *meta);
};

struct meta {
	const struct meta_ops *ops;
	struct meta_events events;
};

// Returns NULL, or what is wrong with the transaction (keys, sizes, counts).
const char *meta_txn_wrong(const struct meta_txn *txn);
