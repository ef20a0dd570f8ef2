// The CPU time a cgroup leaves this process. Containers are often given a share of all CPUs instead
// of some of them; workers that poll would use it up and then be stopped.
#pragma once

// Read the tightest quota of this process's cgroup and those above it, versions 1 and 2; `self` is
// /proc/self/cgroup and `root` /sys/fs/cgroup, but for tests.
// Returns thousandths of a CPU, 0 for no quota.
unsigned quota_read(const char *self, const char *root);
