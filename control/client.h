// A client of a cluster: asks a controller one thing and waits for the answer, following redirects
// to the one that leads.  Thread: main.
#pragma once

#include "control/cluster_file.h"
#include "control/message.h"

struct client_place {
	struct client_file file;    // as read, when there was one
	struct addresses addresses; // to try, in turn
	char path[4096];
};

// Where the controllers are: `given` (addresses separated by commas), else $WEIR_CONTROLLER, else
// ~/.config/weir/client.yaml, else the socket of this host.  Returns 0, or -EINVAL with lines on
// stderr.
int client_place_find(struct client_place *place, const char *given);
void client_place_destroy(struct client_place *place);

// Returns the reply for message_free, or NULL with one line in ret_why.
Weir__Message *client_ask(const struct client_place *place, Weir__Request *request,
	char ret_why[BUS_WHY_BYTES]);
