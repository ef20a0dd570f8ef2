// What the cluster's processes have in common.
#pragma once

#include "control/bus_socket.h"
#include "control/cluster_file.h"
#include "control/loop.h"

enum { PROCESS_DONE = 0, PROCESS_FAILED = 1, PROCESS_USE = 2 };

// A number that no other process has had, and no zero.
uint64_t process_boot(void);
int64_t process_wall_ns(void); // since 1970

// Have the calling thread run before those of other programs, where the system lets it (root,
// CAP_SYS_NICE), so that heartbeats are in time on a busy host too. What it starts is ordinary.
void process_run_first(void);

// Raise this process's limit of open files as far as it may: shells and systemd begin with 1,024,
// which the connections of as many nodes and their clients do not fit into.
void process_open_many(void);

// Hold a folder of one's own, made if it is not there, until the process ends.
// Returns 0, or -errno with one line in ret_why.
int process_hold_folder(const char *path, char ret_why[BUS_WHY_BYTES]);

// Parse `FILE` as the only argument.  Ends the process on wrong use.
const char *process_file_argument(int argc, char **argv, const char *doc);

// A line on stderr: "weir-node a: …", with what it is, its name and the text.
void process_say(const char *what, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
