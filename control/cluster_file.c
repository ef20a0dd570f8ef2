#include "control/cluster_file.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "control/bus_address.h"
#include "control/cpus.h"
#include "control/message.h"
#include "control/params.h"
#include "control/yaml.h"

static void add_error(struct cluster_file *file, const struct weir_value *at, const char *text)
{
	const struct value_root root = {file->raw, ""};
	errors_add_at(&file->errors, &root, at, "%s", text);
}

static const struct weir_value *written(const struct cluster_file *file, const char *name)
{
	const struct weir_value *value = weir_param_find(file->raw, name);
	return value ? value : file->raw;
}

static struct tls_files load_tls(const struct weir_value *map)
{
	const struct weir_value *tls = weir_param_find(map, "tls");
	if (!tls)
		return (struct tls_files){.authority = NULL};
	return (struct tls_files){.authority = weir_param_text(tls, "authority", NULL),
		.certificate = weir_param_text(tls, "certificate", NULL),
		.key = weir_param_text(tls, "key", NULL)};
}

// `raw_names`: of sections that are looked at by others.
static bool load(struct cluster_file *file, const char *path, const struct weir_param *table,
	const struct weir_param *raw_names, const char *what)
{
	memset(file, 0, sizeof(*file));
	file->errors.heap = &file->heap;
	file->raw = yaml_load(&file->heap, &file->errors, path);
	if (!file->raw)
		return false;
	if (file->raw->kind != WEIR_VALUE_MAP) {
		errors_add(&file->errors, path, file->raw->line,
			"is not a map; write `version: 1` and `name:`");
		return false;
	}
	struct params_scope scope = {&file->heap, &file->errors, NULL, {file->raw, ""}, NULL};
	params_check_names(&scope, table, raw_names, file->raw, what);
	file->values = params_fill(&scope, table, file->raw);
	if (file->errors.count > 0)
		return false;
	file->bus.plaintext = weir_param_int(file->values, "plaintext", 0);
	file->bus.tls = load_tls(file->values);
	return true;
}

static void check_address(struct cluster_file *file, const struct weir_value *at, const char *text)
{
	struct bus_address address;
	const char *problem = bus_address_parse(text, &address);
	if (problem)
		add_error(file, at, heap_printf(&file->heap, "%s %s", text, problem));
	else if (!bus_address_is_local(&address) && !file->bus.tls.key && !file->bus.plaintext)
		add_error(file, at,
			heap_printf(&file->heap,
				"%s is another host's; add a `tls:` section, or `plaintext: true` "
				"in a network of your own",
				text));
}

static void load_addresses(struct cluster_file *file, const char *name, struct addresses *out)
{
	const struct weir_value *list = weir_param_find(file->values, name);
	if (list->count == 0 || list->count > CLUSTER_ADDRESSES_MAX)
		add_error(file, written(file, name),
			heap_printf(&file->heap, "write 1 to %d addresses", CLUSTER_ADDRESSES_MAX));
	for (uint32_t i = 0; i < list->count && i < CLUSTER_ADDRESSES_MAX; i++) {
		check_address(file, written(file, name), list->items[i]->text);
		out->text[out->count++] = list->items[i]->text;
	}
}

static const char *load_name(struct cluster_file *file)
{
	const char *name = weir_param_text(file->values, "name", "");
	if (!name_is_plain(name, 63))
		add_error(file, written(file, "name"),
			heap_printf(&file->heap,
				"%s is no name; write 1 to 63 of letters, digits, '_', '-' and '.'",
				name));
	return name;
}

static void load_etcd(struct controller_file *config, const struct weir_value *etcd)
{
	struct cluster_file *file = &config->file;
	const struct weir_value *endpoints = weir_param_find(etcd, "endpoints");
	const struct weir_value *at = weir_param_find(written(file, "metadata"), "etcd");
	config->etcd = (struct meta_etcd_config){
		.space = weir_param_text(etcd, "prefix", NULL), .tls = load_tls(etcd)};
	// One more than there may be is enough to be refused.
	for (uint32_t i = 0; i < endpoints->count && i <= META_ETCD_ENDPOINTS_MAX; i++) {
		if (i < META_ETCD_ENDPOINTS_MAX)
			config->etcd.endpoints[i] = endpoints->items[i]->text;
		config->etcd.endpoint_count++;
	}
	const char *wrong = meta_etcd_config_wrong(&config->etcd);
	if (wrong)
		add_error(file, at, wrong);
}

static void load_metadata(struct controller_file *config)
{
	struct cluster_file *file = &config->file;
	const struct weir_value *metadata = weir_param_find(file->values, "metadata");
	const struct weir_value *etcd = weir_param_find(metadata, "etcd");
	config->journal = weir_param_text(metadata, "journal", NULL);
	if (!config->journal == !etcd)
		add_error(file, written(file, "metadata"),
			"write either `journal: FOLDER` for a single controller, or "
			"`etcd: {endpoints: [http://host:port]}` for several");
	else if (etcd)
		load_etcd(config, etcd);
}

// Standing by, a controller tells everybody the address of the one that leads.
static void load_own_address(struct controller_file *config)
{
	struct cluster_file *file = &config->file;
	struct bus_address address;
	const char *own = weir_param_text(file->values, "address", NULL);
	config->address = own ? own : config->listen.text[0];
	if (own)
		check_address(file, written(file, "address"), own);
	if (!config->address || !config->etcd.endpoint_count ||
		bus_address_parse(config->address, &address))
		return;
	if (bus_address_is_any(&address))
		add_error(file, written(file, own ? "address" : "listen"),
			heap_printf(&file->heap,
				"%s cannot be reached from other hosts; write `address: "
				"tcp:HOST:%u`, with this host's name",
				config->address, address.port));
}

static void load_detect(struct controller_file *config)
{
	struct cluster_file *file = &config->file;
	const struct weir_value *detect = weir_param_find(file->values, "detect");
	config->lease_ns = weir_param_int(detect, "lease", 0);
	config->heartbeat_ns = weir_param_int(detect, "heartbeat", 0);
	config->silence_ns = weir_param_int(detect, "silence", 0);
	config->prepare_ns = weir_param_int(detect, "prepare", 0);
	if (config->silence_ns < 3 * config->heartbeat_ns)
		add_error(file, written(file, "detect"),
			"silence is less than 3 heartbeats; make it longer, or heartbeat shorter");
	if (config->lease_ns < 2 * config->heartbeat_ns)
		add_error(file, written(file, "detect"),
			"lease is less than 2 heartbeats; make it longer, or heartbeat shorter");
}

void controller_file_load(struct controller_file *config, const char *path)
{
	struct cluster_file *file = &config->file;
	memset(config, 0, sizeof(*config));
	if (!load(file, path, controller_file_table, NULL, "a controller"))
		return;
	config->name = load_name(file);
	load_addresses(file, "listen", &config->listen);
	load_metadata(config);
	load_own_address(config);
	config->keep_jobs = (uint32_t)weir_param_int(file->values, "keep_jobs", 0);
	load_detect(config);
}

static void load_workers(struct node_file *config)
{
	struct cluster_file *file = &config->file;
	const struct weir_value *workers = weir_param_find(file->values, "workers");
	const char *cpus = weir_param_text(workers, "cpus", NULL);
	const char *problem = NULL;
	config->workers = (uint32_t)weir_param_int(workers, "count", 0);
	config->wait = weir_param_int(workers, "wait", -1);
	if (cpus)
		problem = cpus_parse(&file->heap, cpus, &config->cpus, &config->cpu_count);
	if (problem)
		add_error(file, weir_param_find(written(file, "workers"), "cpus"),
			heap_printf(&file->heap, "%s %s", cpus, problem));
	else if (cpus && config->workers && config->workers != config->cpu_count)
		add_error(file, written(file, "workers"),
			heap_printf(&file->heap,
				"cpus lists %u CPUs, count says %u; make them equal, or leave "
				"count out",
				config->cpu_count, config->workers));
}

static struct params_scope links_scope(struct cluster_file *file)
{
	return (struct params_scope){&file->heap, &file->errors, NULL, {file->raw, ""}, NULL};
}

static void load_links(struct node_file *config)
{
	const struct weir_value *links = weir_param_find(config->file.raw, "links");
	struct params_scope scope = links_scope(&config->file);
	if (links)
		config->link_count = link_params_load(&scope, links, config->links);
}

void node_file_link_problem(struct node_file *config, uint32_t index,
	const struct link_problem *problem)
{
	struct params_scope scope = links_scope(&config->file);
	link_params_problem(&scope, weir_param_find(config->file.raw, "links"), index, problem);
}

static const char *host_name(struct heap *heap)
{
	char name[256] = "";
	if (gethostname(name, sizeof(name) - 1) != 0 || !*name)
		return "host";
	return heap_text(heap, name, strlen(name));
}

void node_file_load(struct node_file *config, const char *path)
{
	static const struct weir_param raw[] = {{.name = "links"}, {.name = NULL}};
	struct weir_param table[32];
	uint32_t count = 0;
	memset(config, 0, sizeof(*config));
	for (const struct weir_param *param = node_file_table; param->name; param++)
		if (strcmp(param->name, "links") != 0)
			table[count++] = *param;
	table[count] = (struct weir_param){.name = NULL};
	if (!load(&config->file, path, table, raw, "a node"))
		return;
	config->name = load_name(&config->file);
	load_addresses(&config->file, "controllers", &config->controllers);
	config->host = weir_param_text(config->file.values, "host", NULL);
	if (!config->host)
		config->host = host_name(&config->file.heap);
	config->rack = weir_param_text(config->file.values, "rack", "");
	config->memory = (uint64_t)weir_param_int(config->file.values, "memory", 0);
	config->storage = weir_param_text(config->file.values, "storage", NULL);
	load_workers(config);
	load_links(config);
}

void client_file_load(struct client_file *config, const char *path)
{
	memset(config, 0, sizeof(*config));
	if (load(&config->file, path, client_file_table, NULL, "a client"))
		load_addresses(&config->file, "controllers", &config->controllers);
}

void cluster_file_destroy(struct cluster_file *file)
{
	heap_destroy(&file->heap);
}
