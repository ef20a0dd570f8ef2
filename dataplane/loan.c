#include "dataplane/loan.h"

#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

enum { LOAN_ALIGN = 64 };

void loan_ask(struct loan *l, size_t bytes)
{
	uint32_t asked = atomic_load_explicit(&l->asked, memory_order_relaxed);
	ASSERT(loan_is_settled(l));
	l->bytes = bytes;
	atomic_store_explicit(&l->asked, asked + 1, memory_order_release); // pairs loan_serve
}

// Touched here, so that the worker does not wait for pages.
static uint8_t *data_create(size_t bytes)
{
	size_t room = (bytes + LOAN_ALIGN - 1) & ~(size_t)(LOAN_ALIGN - 1);
	uint8_t *data = room < bytes || bytes == 0 ? NULL : aligned_alloc(LOAN_ALIGN, room);
	if (data != NULL)
		memset(data, 0, room);
	return data;
}

static void data_free(struct loan *l)
{
	free(l->data);
	l->data = NULL;
}

void loan_serve(struct loan *l)
{
	uint32_t asked = atomic_load_explicit(&l->asked, memory_order_acquire);
	if (asked == atomic_load_explicit(&l->given, memory_order_relaxed))
		return;
	data_free(l);
	l->data = data_create(l->bytes);
	atomic_store_explicit(&l->given, asked, memory_order_release); // pairs loan_is_settled
}

void loan_destroy(struct loan *l)
{
	data_free(l);
}
