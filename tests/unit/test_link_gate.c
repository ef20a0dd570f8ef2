// The gate between two memif drivers, whose parts sockets play here.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/link_gate.h"

enum { BYTES = 128, HELLO = 2, CONNECTED = 7, DISCONNECT = 8 };

struct fixture {
	char folder[32], socket[48], device[128];
	char inner_device[LINK_GATE_DEVICE_BYTES], inner[108];
	struct link_gate *gate;
	int listener, driver, other;
};

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	return at;
}

static int listen_at(const char *path)
{
	struct sockaddr_un at = address(path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un at = address(path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void say(int fd, uint16_t type, int file)
{
	char text[BYTES] = {0};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {text, sizeof(text)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	memcpy(text, &type, sizeof(type));
	if (file >= 0) {
		memcpy(CMSG_DATA(&control.header), &file, sizeof(file));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
	}
	assert_int_equal(sendmsg(fd, &message, 0), BYTES);
}

// The type of what is heard, 0 for the end of it, -1 for nothing; and the file that came along.
static int hear(int fd, int *ret_file)
{
	char text[BYTES];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {text, sizeof(text)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	uint16_t type;
	ssize_t bytes = recvmsg(fd, &message, MSG_DONTWAIT);
	if (bytes <= 0)
		return bytes == 0 ? 0 : -1;
	assert_int_equal(bytes, BYTES);
	if (ret_file != NULL && CMSG_FIRSTHDR(&message) != NULL)
		memcpy(ret_file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(*ret_file));
	memcpy(&type, text, sizeof(type));
	return type;
}

static void create(struct fixture *f, const char *role)
{
	*f = (struct fixture){.folder = "/tmp/weir-gate-XXXXXX", .listener = -1};
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->socket, sizeof(f->socket), "%s/s", f->folder);
	snprintf(f->device, sizeof(f->device),
		"net_memif_t,role=%s,socket=%s,socket-abstract=no,bsize=4096", role, f->socket);
	assert_int_equal(link_gate_create(f->device, &f->gate, f->inner_device), 0);
	assert_true(link_device_argument(f->inner_device, "socket", f->inner, sizeof(f->inner)));
	assert_string_not_equal(f->inner, f->socket);
	assert_non_null(strstr(f->inner_device, ",bsize=4096"));
	assert_null(strstr(f->inner_device, "socket-abstract=yes"));
}

static void destroy(struct fixture *f)
{
	link_gate_destroy(f->gate);
	if (f->listener >= 0)
		close(f->listener);
	close(f->driver);
	close(f->other);
	unlink(f->inner);
	unlink(f->socket);
	assert_int_equal(rmdir(f->folder), 0);
}

// The gate of a server whose driver and client have agreed.
static void open_server(struct fixture *f)
{
	create(f, "server");
	f->listener = listen_at(f->inner);
	f->other = connect_to(f->socket);
	assert_false(link_gate_wait(f->gate, 0));
	f->driver = accept(f->listener, NULL, NULL);
	assert_false(link_gate_is_open(f->gate));
	say(f->driver, CONNECTED, -1);
	assert_false(link_gate_wait(f->gate, 0));
	assert_int_equal(hear(f->other, NULL), CONNECTED);
	assert_true(link_gate_is_open(f->gate));
}

static void test_files_are_passed_on(void **state)
{
	struct fixture f;
	int file = -1, zero = open("/dev/zero", O_RDONLY);
	char byte = 1;
	create(&f, "server");
	f.listener = listen_at(f.inner);
	f.other = connect_to(f.socket);
	link_gate_wait(f.gate, 0);
	f.driver = accept(f.listener, NULL, NULL);
	say(f.other, HELLO, zero);
	assert_false(link_gate_wait(f.gate, 0));
	assert_int_equal(hear(f.driver, &file), HELLO);
	assert_int_equal(read(file, &byte, 1), 1);
	assert_int_equal(byte, 0);
	close(file);
	close(zero);
	destroy(&f);
}

// The driver hears of the end when it is told, no sooner: it would unmap what others still read.
static void expect_told_last(struct fixture *f)
{
	assert_true(link_gate_wait(f->gate, 0));
	assert_int_equal(hear(f->driver, NULL), -1);
	link_gate_end(f->gate);
	assert_false(link_gate_is_open(f->gate));
	assert_int_equal(hear(f->driver, NULL), 0);
}

static void test_the_others_end_waits_for_the_workers(void **state)
{
	struct fixture f;
	open_server(&f);
	close(f.other);
	expect_told_last(&f);
	f.other = -1;
	destroy(&f);
}

static void test_so_does_whatever_it_still_says(void **state)
{
	struct fixture f;
	open_server(&f);
	say(f.other, DISCONNECT, -1);
	expect_told_last(&f);
	destroy(&f);
}

static void test_the_next_waits_until_the_driver_has_ended(void **state)
{
	struct fixture f;
	open_server(&f);
	close(f.other);
	expect_told_last(&f);
	f.other = connect_to(f.socket);
	link_gate_wait(f.gate, 0);
	assert_false(link_gate_is_idle(f.gate));
	assert_int_equal(accept(f.listener, NULL, NULL) >= 0 ? 1 : errno, EAGAIN);
	close(f.driver); // it has unmapped everything
	link_gate_wait(f.gate, 0);
	assert_true(link_gate_is_idle(f.gate));
	link_gate_wait(f.gate, 0);
	f.driver = accept(f.listener, NULL, NULL);
	assert_true(f.driver >= 0);
	destroy(&f);
}

static void test_a_client_finds_its_server(void **state)
{
	struct fixture f;
	create(&f, "client");
	assert_false(link_gate_connect(f.gate));
	f.listener = listen_at(f.socket);
	assert_true(link_gate_connect(f.gate));
	f.other = accept(f.listener, NULL, NULL);
	f.driver = connect_to(f.inner);
	link_gate_wait(f.gate, 0);
	say(f.other, CONNECTED, -1);
	assert_false(link_gate_wait(f.gate, 0));
	assert_int_equal(hear(f.driver, NULL), CONNECTED);
	assert_true(link_gate_is_open(f.gate));
	close(f.other);
	expect_told_last(&f);
	f.other = -1;
	destroy(&f);
}

static void test_a_dead_servers_socket_makes_room_a_living_ones_does_not(void **state)
{
	struct fixture f;
	struct link_gate *second = NULL;
	char device[LINK_GATE_DEVICE_BYTES];
	create(&f, "server");
	assert_int_equal(link_gate_create(f.device, &second, device), -EADDRINUSE);
	link_gate_destroy(f.gate);
	close(listen_at(f.socket)); // its file stays
	assert_int_equal(link_gate_create(f.device, &f.gate, device), 0);
	f.driver = f.other = -1;
	destroy(&f);
}

// The driver takes a connection that comes and goes for a reason to end its process.
static void test_who_looks_for_room_is_not_noticed(void **state)
{
	struct fixture f;
	struct link_gate *second = NULL;
	char device[LINK_GATE_DEVICE_BYTES];
	create(&f, "server");
	f.listener = listen_at(f.inner);
	assert_int_equal(link_gate_create(f.device, &second, device), -EADDRINUSE);
	assert_false(link_gate_wait(f.gate, 0));
	assert_true(link_gate_is_idle(f.gate));
	f.driver = accept(f.listener, NULL, NULL);
	assert_int_equal(f.driver, -1);
	f.other = -1;
	destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_are_passed_on),
		cmocka_unit_test(test_the_others_end_waits_for_the_workers),
		cmocka_unit_test(test_so_does_whatever_it_still_says),
		cmocka_unit_test(test_the_next_waits_until_the_driver_has_ended),
		cmocka_unit_test(test_a_client_finds_its_server),
		cmocka_unit_test(test_a_dead_servers_socket_makes_room_a_living_ones_does_not),
		cmocka_unit_test(test_who_looks_for_room_is_not_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
