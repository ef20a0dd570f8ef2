#include "control/thread_wait.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

// The third field of proc(5)'s stat, its state, and the 14th and 15th, the time it ran. The second
// is a name in brackets, which may hold anything.
static bool read_stat(int thread, char *ret_state, int64_t *ret_ran_ns)
{
	char path[64], text[512];
	unsigned long user, kernel;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return false;
	size_t bytes = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[bytes] = 0;
	const char *rest = strrchr(text, ')');
	if (rest == NULL ||
		sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", ret_state,
			&user, &kernel) != 3)
		return false;
	*ret_ran_ns = (int64_t)(user + kernel) * (SECOND_NS / sysconf(_SC_CLK_TCK));
	return true;
}

void thread_wait_look(struct thread_wait *w, int thread, int64_t now_ns)
{
	char state;
	int64_t ran_ns;
	if (!read_stat(thread, &state, &ran_ns))
		return;
	if (w->from_ns == 0)
		*w = (struct thread_wait){.from_ns = now_ns, .looked_ns = now_ns, .ran_ns = ran_ns};
	if (state != 'R')
		w->slept_ns += now_ns - w->looked_ns;
	w->looked_ns = now_ns;
	int64_t waited_ns = now_ns - w->from_ns - w->slept_ns - (ran_ns - w->ran_ns);
	w->waited_ns = waited_ns > 0 ? waited_ns : 0;
}
