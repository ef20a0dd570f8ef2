// Files of controllers and nodes: what is said about mistakes, with place, value and remedy.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/cluster_file.h"
#include "error_text.h"

#define CONTROLLER "version: 1\nname: c\n"
#define JOURNAL "metadata: {journal: /tmp/j}\n"
#define ETCD "metadata: {etcd: {endpoints: [\"http://127.0.0.1:2379\"]}}\n"
#define NODE "version: 1\nname: a\n"
#define AT_HOME "controllers: [\"unix:/c\"]\n"

struct expected {
	const char *text, *errors;
};

static char folder[] = "/tmp/weir-cluster-file-XXXXXX";

static int folder_make(void **state)
{
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int folder_remove(void **state)
{
	unlink("f.yaml");
	return chdir("/") == 0 ? rmdir(folder) : -1;
}

static void file_write(const char *text)
{
	FILE *out = fopen("f.yaml", "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void controllers(void **state)
{
	static const struct expected cases[] = {
		{CONTROLLER "listen: [\"unix:/c\"]\n" JOURNAL, ""},
		{CONTROLLER "listen: [\"unix:/c\"]\n" ETCD, ""},
		{"version: 2\nname: c\nlisten: [\"unix:/c\"]\n" JOURNAL,
			"f.yaml:1: version: 2 is out of bounds; write 1\n"},
		{CONTROLLER "listen: [\"tcp:0.0.0.0:7400\"]\n" JOURNAL,
			"f.yaml:3: listen: tcp:0.0.0.0:7400 is another host's; add a `tls:` "
			"section, or "
			"`plaintext: true` in a network of your own\n"},
		// One that leads alone is never named to others.
		{CONTROLLER "plaintext: true\nlisten: [\"tcp:0.0.0.0:7400\"]\n" JOURNAL, ""},
		{CONTROLLER "plaintext: true\nlisten: [\"tcp:0.0.0.0:7400\"]\n" ETCD,
			"f.yaml:4: listen: tcp:0.0.0.0:7400 cannot be reached from other "
			"hosts; write "
			"`address: tcp:HOST:7400`, with this host's name\n"},
		{CONTROLLER "plaintext: true\nlisten: [\"tcp:[::]:7400\"]\n"
			    "address: \"tcp:[::]:7400\"\n" ETCD,
			"f.yaml:5: address: tcp:[::]:7400 cannot be reached from other hosts; "
			"write "
			"`address: tcp:HOST:7400`, with this host's name\n"},
		{CONTROLLER "plaintext: true\nlisten: [\"tcp:0.0.0.0:7400\"]\n"
			    "address: \"tcp:one.example:7400\"\n" ETCD,
			""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct controller_file file;
		file_write(cases[i].text);
		controller_file_load(&file, "f.yaml");
		assert_errors(&file.file.errors, cases[i].errors);
		cluster_file_destroy(&file.file);
	}
}

static void nodes(void **state)
{
	static const struct expected cases[] = {
		{NODE AT_HOME, ""},
		{NODE AT_HOME "lnks: []\n",
			"f.yaml:4: lnks: is not a parameter of a node; did you mean links?; "
			"known are "
			"version, name, controllers, host, rack, workers, memory, storage, tls, "
			"plaintext, links\n"},
		{NODE "controllers: [\"10.0.0.1:7400\", \"tcp:10.0.0.1\", \"tcp:a:x\", "
		      "\"tcp:a:65536\", \"tcp:::1:80\", \"unix:c\"]\n",
			"f.yaml:3: controllers: 10.0.0.1:7400 is no address; write "
			"tcp:host:port or "
			"unix:/path\n"
			"f.yaml:3: controllers: tcp:10.0.0.1 lacks host or port; write "
			"tcp:host:port\n"
			"f.yaml:3: controllers: tcp:a:x lacks its port; write tcp:host:port\n"
			"f.yaml:3: controllers: tcp:a:65536 has a port that is no number from 0 to "
			"65535; write tcp:host:port\n"
			"f.yaml:3: controllers: tcp:::1:80 has an IPv6 address without "
			"brackets; write "
			"tcp:[address]:port\n"
			"f.yaml:3: controllers: unix:c is no path from the root; write "
			"unix:/path\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct node_file file;
		file_write(cases[i].text);
		node_file_load(&file, "f.yaml");
		assert_errors(&file.file.errors, cases[i].errors);
		cluster_file_destroy(&file.file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(controllers),
		cmocka_unit_test(nodes),
	};
	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
