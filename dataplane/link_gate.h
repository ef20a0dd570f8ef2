// A gate between a memif port's driver and the other end's. The driver unmaps the shared memory as
// soon as its control socket tells it that the other end is gone, whoever is just reading there. So
// that socket leads here: what the two drivers say is passed on, but the end of it only once no
// worker is in a burst. It also finds the server again, and knows at once when the other end dies.
// Thread of everything here but create and destroy: the port's watch.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct link_gate;

enum { LINK_GATE_DEVICE_BYTES = 512 };

// Make one for the device. `ret_device` are the arguments to probe instead.  Thread: agent.
// Returns 0, -EADDRINUSE: another process serves there, -ENAMETOOLONG, or another -errno.
int link_gate_create(const char *device, struct link_gate **ret_gate,
	char ret_device[LINK_GATE_DEVICE_BYTES]);
void link_gate_destroy(struct link_gate *gate); // NULL-safe; the port must be closed before

// Pass on what is said, for about `ms`.  Returns true when the other end is gone: then the driver
// is to hear it by link_gate_end, once no worker is in a burst and none will be.
bool link_gate_wait(struct link_gate *gate, int ms);
void link_gate_end(struct link_gate *gate);

// Have the driver end and wait until it has, so that it does not do so once more while the port is
// stopped: its two threads know nothing of each other.  Thread: agent, when there is no watch.
void link_gate_close(struct link_gate *gate);

// Whether both drivers have agreed, and nothing has ended that since.
bool link_gate_is_open(const struct link_gate *gate);

// Whether the driver has nothing left of an earlier connection, and none is made.
bool link_gate_is_idle(const struct link_gate *gate);

// Find the server.  Returns whether it is there: then the driver is to be started.
bool link_gate_connect(struct link_gate *gate);

// The text of one of a device's arguments.  Returns false where it is not given.
bool link_device_argument(const char *device, const char *name, char *out, size_t out_bytes);

// Whether the device is a memif client.
bool link_device_is_client(const char *device);
