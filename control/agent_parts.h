// What an agent is made of; for its own files alone.
#pragma once

#include "control/agent.h"
#include "control/message.h"

enum { STATE_BYTES = 256, INBOX_MAX = 4096 };

// A part on this node; without one of the workload's when that could not begin.
struct agent_part {
	char job[MESSAGE_NAME_MAX + 1];
	uint64_t incarnation;
	uint32_t participants, self;
	struct workload_part *work;
	char error[STATE_BYTES];
	enum workload_state told; // in the last report: its state, and how many
	uint32_t told_admitted, told_repaired;
};

enum agent_phase { AGENT_APART, AGENT_CONNECTING, AGENT_JOINING, AGENT_JOINED };

struct agent_item {
	uint64_t peer;
	Weir__Message *message; // NULL: opened or closed
	bool opened;
};

struct agent {
	struct agent_config config;
	int64_t now_ns;
	enum agent_phase phase;
	uint64_t peer, term; // term: the highest that ever welcomed it
	int64_t retry_at_ns, retry_ns, heard_ns;
	int64_t heartbeat_ns, patience_ns;
	int64_t promised_ns; // when it was to be stepped next
	int64_t late_ns;     // the most that it was run late since the last report
	uint32_t next_controller;
	char address[STATE_BYTES];  // of the controller it goes to
	char redirect[STATE_BYTES]; // where to go next, "": the next in the list
	uint64_t incarnation;
	uint64_t seen; // number of the last command
	bool due;      // a report is
	int64_t reported_ns, figures_ns;
	bool leaving;
	int64_t leaving_since_ns;
	uint32_t part_count;
	struct agent_part parts[MESSAGE_PARTS_MAX];
	uint32_t inbox_count;
	struct agent_item inbox[INBOX_MAX];
	char state[STATE_BYTES];
};

// agent_report.c
void agent_part_status(const struct agent *a, const struct agent_part *part,
	struct workload_status *ret_status);
void agent_send_report(struct agent *a);
void agent_send_join(struct agent *a);
