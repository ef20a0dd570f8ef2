#include "control/process.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "numa/assert.h"

enum { RUN_FIRST_NICE = -15 };

uint64_t process_boot(void)
{
	uint64_t boot;
	VERIFY(getrandom(&boot, sizeof(boot), 0) == sizeof(boot));
	return boot | 1;
}

int64_t process_wall_ns(void)
{
	struct timespec now;
	VERIFY(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// Nice, and not of a real-time class: an agent of one, which wakes every millisecond, kept workers
// that yield from their cores for seconds on a busy host (Linux 6.18); a nice one does not.
void process_run_first(void)
{
	const struct sched_param none = {0};
	int before = getpriority(PRIO_PROCESS, 0);
	if (before > RUN_FIRST_NICE && setpriority(PRIO_PROCESS, 0, RUN_FIRST_NICE) == 0)
		(void)sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none);
}

void process_open_many(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

// The descriptor stays open on purpose: the lock goes with the process.
int process_hold_folder(const char *path, char ret_why[BUS_WHY_BYTES])
{
	char name[4096];
	int fd = -1;
	if (snprintf(name, sizeof(name), "%s/lock", path) >= (int)sizeof(name))
		errno = ENAMETOOLONG;
	else if (mkdir(path, 0700) == 0 || errno == EEXIST)
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	int error = errno;
	const char *what = strerror(error);
	if (error == EWOULDBLOCK)
		what = "another process uses it; give each a folder of its own";
	else if (error == ENOENT || error == EACCES)
		what = "this user cannot make it or write there; make it, or name another";
	snprintf(ret_why, BUS_WHY_BYTES, "%s: %s", path, what);
	if (fd >= 0)
		close(fd);
	return -error;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	const char **file = state->input;
	switch (key) {
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "name one file; %s is a second", argument);
		*file = argument;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "name a configuration file; examples/cluster/ has some");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *process_file_argument(int argc, char **argv, const char *doc)
{
	const struct argp argp = {NULL, parse, "FILE.yaml", doc, NULL, NULL, NULL};
	const char *file = NULL;
	argp_err_exit_status = PROCESS_USE;
	argp_parse(&argp, argc, argv, 0, NULL, &file);
	return file;
}

void process_say(const char *what, const char *name, const char *format, ...)
{
	va_list arguments;
	fprintf(stderr, "%s %s: ", what, name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}
