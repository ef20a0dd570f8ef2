// What takes long is done off the loop that asks for it, one thing after the other. Real: a thread
// of its own; the simulator's does it in virtual time.
#pragma once

struct background;

// Part of what it is about, which stays until it has run.
struct errand {
	struct errand *next;
	void (*run)(struct errand *errand);
};

struct background_ops {
	void (*add)(struct background *background, struct errand *errand);
	void (*destroy)(struct background *background); // once all that was added is done
};

struct background {
	const struct background_ops *ops;
};

// A thread of this name.  Returns 0 or -errno.
int background_create_thread(const char *name, struct background **ret_background);
