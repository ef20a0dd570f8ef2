#include "dataplane/loan.h"

#include "numa/assert.h"

void loan_ask(struct loan *l, size_t bytes)
{
	uint32_t asked = atomic_load_explicit(&l->asked, memory_order_relaxed);
	ASSERT(loan_is_settled(l));
	l->bytes = bytes;
	atomic_store_explicit(&l->asked, asked + 1, memory_order_release); // pairs loan_serve
}
