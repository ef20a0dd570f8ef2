#include "dataplane/java_random.h"

#include <math.h>

int64_t random_long_wide(struct java_random *r, int64_t bound)
{
	int64_t value = random_int64(r) % bound;
	return value < 0 ? -value : value;
}

void random_letters6(struct java_random *r, uint8_t *out)
{
	int32_t value = random_int32(r);
	// In two halves, which do not wait for one another.
	int32_t low = value % (26 * 26 * 26);
	int32_t high = value / (26 * 26 * 26);
	out[0] = (uint8_t)('a' + low % 26);
	out[1] = (uint8_t)('a' + low / 26 % 26);
	out[2] = (uint8_t)('a' + low / (26 * 26));
	out[3] = (uint8_t)('a' + high % 26);
	out[4] = (uint8_t)('a' + high / 26 % 26);
	out[5] = (uint8_t)('a' + high / (26 * 26) % 26);
}

int64_t random_price(struct java_random *r)
{
	// Volatile, lest a compiler put exp10 in the place of pow: it rounds differently.
	static const volatile double ten = 10.0;
	return (int64_t)floor(pow(ten, random_double(r) * 6.0) * 100.0 + 0.5);
}
