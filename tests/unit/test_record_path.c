// The record path: from its first step to its end a worker allocates nothing and calls no system
// call. Whole jobs run with a seccomp filter on each worker and every allocation counted; planted
// misdeeds show that either is noticed.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/planner.h"
#include "dataplane/engine.h"

enum { SKIPPED = 77, KINDS_MAX = 64 };

static _Thread_local bool watched;
static atomic_uint allocations, calls;
static atomic_int call_number; // of the last system call

// ---- allocations

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void __libc_free(void *old);

#if !WEIR_SANITIZED
static void note_allocation(void)
{
	if (watched)
		atomic_fetch_add(&allocations, 1);
}

void *malloc(size_t bytes)
{
	note_allocation();
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	note_allocation();
	return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
	note_allocation();
	return __libc_realloc(old, bytes);
}

void free(void *old)
{
	if (old != NULL) // the end of a thread has nothing to free, and does
		note_allocation();
	__libc_free(old);
}
#endif

// ---- system calls

// Allowed: waiting by yielding, leaving the handler below, and what the end of a thread does.
static int filter_install(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_yield, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
	atomic_store(&call_number, info->si_syscall);
	atomic_fetch_add(&calls, 1);
}

static void watch_worker(void *argument)
{
	if (filter_install() == 0)
		watched = true;
}

// ---- a sink that misbehaves

static void (*misdeed)(void);

static int planted_plan(struct weir_plan *plan)
{
	plan->fields_used = schema_all_fields(plan->input);
	return 0;
}

static int planted_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	*ret_self = NULL;
	return 0;
}

static enum weir_flow planted_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	misdeed();
	in->first = in->limit;
	in->at = in->count;
	return WEIR_DONE;
}

static const struct weir_param no_params[] = {{.name = NULL}};
static const struct weir_operator planted_operator = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "planted",
	.summary = "Misbehaves.",
	.role = WEIR_SINK,
	.params = no_params,
	.plan = planted_plan,
	.create = planted_create,
	.process = planted_process,
};

static void behave(void)
{
}

static void call_system(void)
{
	getppid();
}

static void map_memory(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)page; // the call was not made
}

static void write_log(void)
{
	ssize_t written = write(STDOUT_FILENO, "", 0);
	(void)written;
}

static void allocate(void)
{
	void *volatile block = malloc(24);
	free(block);
}

// ---- running a job

static const char head[] = "version: 1\n"
			   "job: test\n"
			   "workers: {state_memory: 64MiB}\n";
static const char checkpoints[] = "checkpoint: {interval: 10ms}\n";
static const char source[] =
	"operators:\n"
	"  - {id: source, kind: memory, from: {kind: nexmark, events: 300000, rate: 10000/s}}\n";

static const char q0[] = "  - {id: sink, kind: null, input: source.bid}\n";
static const char cheap[] =
	"  - {id: cheap, kind: filter, input: source.bid, where: price < 100000}\n"
	"  - {id: some, kind: project, input: cheap, fields: [bidder, price, extra]}\n"
	"  - {id: sink, kind: null, input: some}\n";
static const char q5[] =
	"  - {id: counts, kind: window_aggregate, input: source.bid, key: [auction],\n"
	"     window: {hopping: 10s, slide: 2s}, aggregates: [num: count()]}\n"
	"  - {id: hottest, kind: top, input: counts, by: num}\n"
	"  - {id: sink, kind: null, input: hottest}\n";
static const char texts[] =
	"  - {id: people, kind: window_aggregate, input: source.person, key: [city, state],\n"
	"     window: {tumbling: 2s}, aggregates: [num: count(), last: max(id)]}\n"
	"  - {id: sink, kind: null, input: people}\n";
static const char planted[] = "  - {id: sink, kind: planted, input: source.bid}\n";

static const struct weir_operator *const *all_kinds(void)
{
	static const struct weir_operator *kinds[KINDS_MAX];
	size_t count = 0;
	for (; weir_operators[count] != NULL; count++)
		kinds[count] = weir_operators[count];
	assert_true(count + 2 <= KINDS_MAX);
	kinds[count] = &planted_operator;
	return kinds;
}

static void run_planned(struct planned_job *planned, uint32_t workers)
{
	const int cpu = sched_getcpu(), cpus[] = {cpu, cpu}; // one core must do
	for (uint32_t t = 0; t < planned->plan.task_count; t++)
		planned->tasks[t].worker = t % workers;
	planned->plan.worker_count = workers;
	struct node_config workers_config = {.worker_count = workers,
		.worker_cpus = cpus,
		.wait = NODE_WAIT_YIELD,
		.on_worker = watch_worker};
	struct node *node = NULL;
	assert_int_equal(node_create(&workers_config, &node), 0);
	struct engine_config config = {.plan = &planned->plan, .worker_cpus = cpus, .node = node};
	char error[256] = "";
	struct engine *e = NULL;
	if (engine_create(&config, error, sizeof(error), &e) != 0)
		fail_msg("%s", error);
	assert_int_equal(engine_start(e), 0);
	assert_int_equal(node_start(node), 0);
	enum engine_state state;
	while ((state = engine_poll(e)) == ENGINE_RUNNING)
		usleep(500);
	if (state != ENGINE_FINISHED)
		fail_msg("%s", engine_error(e));
	engine_destroy(e);
	node_destroy(node);
}

static void run(uint32_t workers, bool recovery, const char *operators)
{
	char text[4096];
	static struct job job;
	struct planned_job planned;
	snprintf(text, sizeof(text), "%s%s%s%s", head, recovery ? checkpoints : "", source,
		operators);
	const struct job_source from = {
		.file = "job.yaml", .text = text, .bytes = strlen(text), .kinds = all_kinds()};
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	sigaction(SIGSYS, &action, NULL); // each test anew, since cmocka sets its own
	atomic_store(&allocations, 0);
	atomic_store(&calls, 0);
	job_load(&job, &from);
	errors_print(&job.errors, stderr);
	assert_int_equal(job.errors.count, 0);
	assert_int_equal(planner_plan(&job, workers, &planned), 0);
	run_planned(&planned, workers);
	job_destroy(&job);
}

static void run_clean(const char *operators)
{
	for (uint32_t workers = 1; workers <= 2; workers++) {
		for (int recovery = 0; recovery < 2; recovery++) {
			run(workers, recovery, operators);
			if (atomic_load(&calls) != 0)
				fail_msg("%u system calls, the last one %d", atomic_load(&calls),
					atomic_load(&call_number));
			assert_int_equal(atomic_load(&allocations), 0);
		}
	}
}

// ---- tests

static void test_rows_to_a_sink(void **state)
{
	run_clean(q0);
}

static void test_filter_and_project(void **state)
{
	run_clean(cheap);
}

static void test_windows_and_top(void **state)
{
	run_clean(q5);
}

static void test_windows_keyed_by_texts(void **state)
{
	run_clean(texts);
}

static void test_a_planted_call_is_seen(void **state)
{
	static void (*const misdeeds[])(void) = {call_system, map_memory, write_log};
	static const int numbers[] = {SYS_getppid, SYS_mmap, SYS_write};
	for (int i = 0; i < 3; i++) {
		misdeed = misdeeds[i];
		run(2, false, planted);
		assert_true(atomic_load(&calls) > 0);
		assert_int_equal(atomic_load(&call_number), numbers[i]);
	}
}

static void test_a_planted_allocation_is_seen(void **state)
{
	misdeed = allocate;
	run(2, false, planted);
	assert_true(atomic_load(&allocations) > 0);
	misdeed = behave;
	run(2, false, planted);
	assert_int_equal(atomic_load(&allocations), 0);
	assert_int_equal(atomic_load(&calls), 0);
}

static int setup(void **state)
{
	bool huge;
	return engine_eal_start(256 << 20, &huge);
}

// Neither a sanitizer's runtime nor a kernel without filters lets this be measured.
static bool can_watch(void)
{
	int status = 1;
	pid_t child = WEIR_SANITIZED ? -1 : fork();
	if (child == 0)
		syscall(SYS_exit, filter_install() == 0 ? 0 : 1);
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_to_a_sink),
		cmocka_unit_test(test_filter_and_project),
		cmocka_unit_test(test_windows_and_top),
		cmocka_unit_test(test_windows_keyed_by_texts),
		cmocka_unit_test(test_a_planted_call_is_seen),
		cmocka_unit_test(test_a_planted_allocation_is_seen),
	};
	if (!can_watch())
		return SKIPPED;
	return cmocka_run_group_tests(tests, setup, NULL);
}
