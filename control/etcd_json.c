#include "control/etcd_json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

enum { KEY_ROOM = ETCD_PREFIX_MAX + META_KEY_MAX + 1 };

static json_t *base64(const void *data, size_t bytes)
{
	unsigned char *text = malloc((bytes + 2) / 3 * 4 + 1);
	VERIFY(text != NULL && bytes <= META_VALUE_MAX);
	int length = EVP_EncodeBlock(text, data, (int)bytes);
	json_t *json = json_stringn((char *)text, (size_t)length);
	free(text);
	VERIFY(json != NULL);
	return json;
}

static json_t *key_json(const char *space, const char *key)
{
	char whole[KEY_ROOM];
	int length = snprintf(whole, sizeof(whole), "%s%s", space, key);
	VERIFY(length < KEY_ROOM);
	return base64(whole, (size_t)length);
}

// The first key behind all that begin with the prefix.
static json_t *prefix_end(const char *space, const char *prefix)
{
	char whole[KEY_ROOM];
	int length = snprintf(whole, sizeof(whole), "%s%s", space, prefix);
	VERIFY(length > 0 && length < KEY_ROOM);
	whole[length - 1]++;
	return base64(whole, (size_t)length);
}

static char *text_of(json_t *json)
{
	VERIFY(json != NULL);
	char *text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	VERIFY(text != NULL);
	return text;
}

static json_t *number(int64_t value)
{
	return json_sprintf("%" PRId64, value);
}

char *etcd_json_range(const char *space, const char *prefix)
{
	return text_of(json_pack("{soso}", "key", key_json(space, prefix), "range_end",
		prefix_end(space, prefix)));
}

char *etcd_json_watch(const char *space, const char *prefix)
{
	return text_of(json_pack("{s{soso}}", "create_request", "key", key_json(space, prefix),
		"range_end", prefix_end(space, prefix)));
}

static json_t *put_json(const char *space, const struct meta_put *put, int64_t lease)
{
	json_t *key = key_json(space, put->key);
	if (!put->value)
		return json_pack("{s{so}}", "request_delete_range", "key", key);
	return json_pack("{s{sososo}}", "request_put", "key", key, "value",
		base64(put->value, put->bytes), "lease", number(put->leased ? lease : 0));
}

char *etcd_json_txn(const char *space, const struct meta_txn *txn, int64_t lease)
{
	json_t *compares = json_array(), *puts = json_array();
	for (uint32_t i = 0; i < txn->compare_count; i++)
		json_array_append_new(compares,
			json_pack("{sossssso}", "key", key_json(space, txn->compares[i].key),
				"target", "MOD", "result", "EQUAL", "mod_revision",
				number(txn->compares[i].revision)));
	for (uint32_t i = 0; i < txn->put_count; i++)
		json_array_append_new(puts, put_json(space, &txn->puts[i], lease));
	return text_of(json_pack("{soso}", "compare", compares, "success", puts));
}

char *etcd_json_grant(int64_t ttl_s)
{
	return text_of(json_pack("{so}", "TTL", number(ttl_s)));
}

char *etcd_json_lease(int64_t id)
{
	return text_of(json_pack("{so}", "ID", number(id)));
}

// Numbers of 64 bits are texts; those that are 0 are left out.
static int64_t number_of(const json_t *json, const char *name)
{
	const json_t *value = json_object_get(json, name);
	if (json_is_integer(value))
		return json_integer_value(value);
	return json_is_string(value) ? strtoll(json_string_value(value), NULL, 10) : 0;
}

// Returns the bytes behind a base64 text with a 0 behind them, for free(), or NULL.
static char *base64_read(const json_t *json, size_t *ret_bytes)
{
	const char *text = json_is_string(json) ? json_string_value(json) : "";
	size_t length = strlen(text);
	if (length % 4 != 0 || length > INT32_MAX)
		return NULL;
	char *data = malloc(length / 4 * 3 + 1);
	VERIFY(data != NULL);
	int bytes = EVP_DecodeBlock((unsigned char *)data, (const void *)text, (int)length);
	if (bytes < 0) {
		free(data);
		return NULL;
	}
	// OpenSSL counts the padding as bytes.
	*ret_bytes = (size_t)bytes - (length > 0 && text[length - 1] == '=') -
		(length > 1 && text[length - 2] == '=');
	data[*ret_bytes] = 0;
	return data;
}

static bool entry_read(const json_t *kv, const char *space, struct meta_entry *entry)
{
	size_t key_bytes = 0, skip = strlen(space);
	char *key = base64_read(json_object_get(kv, "key"), &key_bytes);
	char *value = base64_read(json_object_get(kv, "value"), &entry->bytes);
	bool good = key && value && strlen(key) == key_bytes && strncmp(key, space, skip) == 0;
	if (good)
		memmove(key, key + skip, key_bytes - skip + 1);
	entry->key = key;
	entry->value = value;
	entry->revision = number_of(kv, "mod_revision");
	return good && entry->revision > 0;
}

void etcd_range_free(struct etcd_range *range)
{
	for (uint32_t i = 0; i < range->count; i++) {
		free((char *)range->entries[i].key);
		free((void *)range->entries[i].value);
	}
	free(range->entries);
	*range = (struct etcd_range){.count = 0};
}

int etcd_json_read_range(const char *body, size_t bytes, const char *space,
	struct etcd_range *ret_range)
{
	json_t *json = json_loadb(body, bytes, 0, NULL);
	const json_t *kvs = json_object_get(json, "kvs");
	struct etcd_range range = {
		.revision = number_of(json_object_get(json, "header"), "revision")};
	bool good = range.revision > 0;
	size_t count = json_array_size(kvs);
	range.entries = calloc(count + 1, sizeof(*range.entries));
	VERIFY(range.entries != NULL);
	while (good && range.count < count) {
		struct meta_entry *entry = &range.entries[range.count];
		good = entry_read(json_array_get(kvs, range.count++), space, entry);
	}
	json_decref(json);
	if (!good) {
		etcd_range_free(&range);
		return -EBADMSG;
	}
	*ret_range = range;
	return 0;
}

int etcd_json_read_txn(const char *body, size_t bytes, bool *ret_succeeded, int64_t *ret_revision)
{
	json_t *json = json_loadb(body, bytes, 0, NULL);
	int64_t revision = number_of(json_object_get(json, "header"), "revision");
	bool succeeded = json_is_true(json_object_get(json, "succeeded"));
	json_decref(json);
	if (revision <= 0)
		return -EBADMSG;
	*ret_succeeded = succeeded;
	*ret_revision = revision;
	return 0;
}

int etcd_json_read_lease(const char *body, size_t bytes, int64_t *ret_id, int64_t *ret_ttl_s)
{
	json_t *json = json_loadb(body, bytes, JSON_DISABLE_EOF_CHECK, NULL);
	const json_t *result = json_object_get(json, "result"); // of a stream
	const json_t *lease = result ? result : json;
	int64_t id = number_of(lease, "ID");
	int64_t ttl_s = number_of(lease, "TTL");
	json_decref(json);
	if (id == 0)
		return -EBADMSG;
	*ret_id = id;
	*ret_ttl_s = ttl_s;
	return 0;
}

// gRPC's codes that say "not done": invalid argument, not found, permission denied, resource
// exhausted, failed precondition, out of range, unimplemented, unauthenticated.
static bool code_is_refusal(int64_t code)
{
	return code == 3 || code == 5 || (code >= 7 && code <= 9) || code == 11 || code == 12 ||
		code == 16;
}

enum meta_outcome etcd_json_read_error(const char *body, size_t bytes, char *text, size_t room)
{
	json_t *json = json_loadb(body, bytes, 0, NULL);
	const char *message = json_string_value(json_object_get(json, "message"));
	int64_t code = number_of(json, "code");
	snprintf(text, room, "%s", message ? message : "an answer that is not etcd's");
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = ' ';
	json_decref(json);
	return code_is_refusal(code) ? META_REFUSED : META_UNKNOWN;
}
