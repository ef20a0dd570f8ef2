#include "control/cluster_file.h"

static const struct weir_param tls_table[] = {
	{.name = "authority",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "PEM file of the certificates that are trusted."},
	{.name = "certificate",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "PEM file of this process's certificate."},
	{.name = "key",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "PEM file of its private key."},
	{.name = NULL},
};

#define SECURITY                                                                                   \
	{.name = "tls",                                                                            \
		.type = WEIR_PARAM_MAP,                                                            \
		.children = tls_table,                                                             \
		.doc = "Certificates; both ends of every TCP connection show one."},               \
	{                                                                                          \
		.name = "plaintext", .type = WEIR_PARAM_BOOL, .default_text = "false",             \
		.doc = "Allow TCP without TLS, also to other hosts."                               \
	}

#define VERSION                                                                                    \
	{                                                                                          \
		.name = "version", .type = WEIR_PARAM_INT, .required = true, .min = 1, .max = 1,   \
		.doc = "Version of the file's format: 1."                                          \
	}

static const struct weir_param etcd_table[] = {
	{.name = "endpoints",
		.type = WEIR_PARAM_TEXTS,
		.required = true,
		.doc = "Its members, each `http://host:port` or `https://host:port`, up to 9."},
	{.name = "prefix",
		.type = WEIR_PARAM_STRING,
		.default_text = "weir/",
		.doc = "Put before every key; of its own for each cluster."},
	{.name = "tls",
		.type = WEIR_PARAM_MAP,
		.children = tls_table,
		.doc = "Certificates for `https`."},
	{.name = NULL},
};

static const struct weir_param metadata_table[] = {
	{.name = "journal",
		.type = WEIR_PARAM_STRING,
		.doc = "Folder for the journal of a single controller; only one process uses it."},
	{.name = "etcd",
		.type = WEIR_PARAM_MAP,
		.children = etcd_table,
		.doc = "An etcd that controllers share: one leads, the others stand by."},
	{.name = NULL},
};

static const struct weir_param detect_table[] = {
	{.name = "lease",
		.type = WEIR_PARAM_DURATION,
		.default_text = "3s",
		.min = 100000000,
		.max = 600000000000,
		.doc = "How long leadership lasts when its holder says nothing."},
	{.name = "heartbeat",
		.type = WEIR_PARAM_DURATION,
		.default_text = "200ms",
		.min = 10000000,
		.max = 60000000000,
		.doc = "Time between a node's reports."},
	{.name = "silence",
		.type = WEIR_PARAM_DURATION,
		.default_text = "2s",
		.min = 50000000,
		.max = 600000000000,
		.doc = "The least silence after which a node counts as dead; more where its "
		       "reports come unevenly, up to ten times that or 5s. A connection that "
		       "breaks counts at once."},
	{.name = "prepare",
		.type = WEIR_PARAM_DURATION,
		.default_text = "60s",
		.min = 1000000000,
		.max = 3600000000000,
		.doc = "The most that preparing a job may take."},
	{.name = NULL},
};

const struct weir_param controller_file_table[] = {
	VERSION,
	{.name = "name",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "The controller's name, of its own in the cluster."},
	{.name = "listen",
		.type = WEIR_PARAM_TEXTS,
		.required = true,
		.doc = "Addresses it serves: `tcp:host:port`, `unix:/path`."},
	{.name = "address",
		.type = WEIR_PARAM_STRING,
		.doc = "The address that others reach it at; by default the first of `listen`."},
	{.name = "metadata",
		.type = WEIR_PARAM_MAP,
		.children = metadata_table,
		.required = true,
		.doc = "Where the cluster's records are kept: `journal` or `etcd`, one of both."},
	{.name = "detect",
		.type = WEIR_PARAM_MAP,
		.children = detect_table,
		.default_text = "{}",
		.doc = "When something counts as dead."},
	{.name = "keep_jobs",
		.type = WEIR_PARAM_INT,
		.default_text = "100",
		.min = 1,
		.max = 500,
		.doc = "Jobs that have ended and are still listed."},
	SECURITY,
	{.name = NULL},
};

static const struct weir_param workers_table[] = {
	{.name = "count",
		.type = WEIR_PARAM_INT,
		.min = 1,
		.max = 1024,
		.doc = "Workers; by default all cores but one, at least 1."},
	{.name = "cpus",
		.type = WEIR_PARAM_STRING,
		.doc = "CPUs to pin them to, by OS index, as in `2-5,8`; by default the placement "
		       "chooses."},
	{.name = "wait",
		.type = WEIR_PARAM_CHOICE,
		.choices = "spin|yield|sleep",
		.doc = "What a worker without work does; by default it polls on, and yields where "
		       "workers share a core."},
	{.name = NULL},
};

const struct weir_param node_file_table[] = {
	VERSION,
	{.name = "name",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "The node's name, of its own in the cluster."},
	{.name = "controllers",
		.type = WEIR_PARAM_TEXTS,
		.required = true,
		.doc = "Addresses of the controllers, any that may lead."},
	{.name = "host",
		.type = WEIR_PARAM_STRING,
		.doc = "The host as failure domain; by default the host's name."},
	{.name = "rack",
		.type = WEIR_PARAM_STRING,
		.default_text = "rack",
		.doc = "The rack as failure domain. A job's workers are taken from few racks."},
	{.name = "workers",
		.type = WEIR_PARAM_MAP,
		.children = workers_table,
		.default_text = "{}",
		.doc = "The threads that do the work."},
	{.name = "memory",
		.type = WEIR_PARAM_SIZE,
		.default_text = "1GiB",
		.min = 64 << 20,
		.max = 1LL << 40,
		.doc = "Memory for frames where there are no huge pages."},
	{.name = "storage",
		.type = WEIR_PARAM_STRING,
		.doc = "Folder of the node's own; only one process uses it."},
	{.name = "links",
		.type = WEIR_PARAM_PAIRS,
		.doc = "Ports to other nodes: a list of maps, each with its `address`."},
	SECURITY,
	{.name = NULL},
};

const struct weir_param client_file_table[] = {
	VERSION,
	{.name = "controllers",
		.type = WEIR_PARAM_TEXTS,
		.required = true,
		.doc = "Addresses of the controllers."},
	SECURITY,
	{.name = NULL},
};
