#include "control/meta.h"

#include <string.h>

static const char *key_wrong(const char *key)
{
	if (!key || !key[0])
		return "a key is empty";
	return strnlen(key, META_KEY_MAX + 1) > META_KEY_MAX ? "a key is longer than 256 bytes"
							     : NULL;
}

static const char *put_wrong(const struct meta_txn *txn, uint32_t at)
{
	const struct meta_put *put = &txn->puts[at];
	const char *wrong = key_wrong(put->key);
	if (wrong)
		return wrong;
	if (put->value ? put->bytes > META_VALUE_MAX : put->bytes != 0 || put->leased)
		return "a value is longer than 1 MiB, or a deletion has one";
	for (uint32_t i = 0; i < at; i++)
		if (strcmp(txn->puts[i].key, put->key) == 0)
			return "a key is put twice";
	return NULL;
}

const char *meta_txn_wrong(const struct meta_txn *txn)
{
	const char *wrong = NULL;
	if (txn->compare_count > META_OPS_MAX || txn->put_count > META_OPS_MAX)
		return "a transaction has more than 32 comparisons or changes";
	for (uint32_t i = 0; i < txn->compare_count && !wrong; i++) {
		wrong = key_wrong(txn->compares[i].key);
		if (!wrong && txn->compares[i].revision < 0)
			wrong = "a revision is negative";
	}
	for (uint32_t i = 0; i < txn->put_count && !wrong; i++)
		wrong = put_wrong(txn, i);
	return wrong;
}
