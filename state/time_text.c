#include "state/time_text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SECOND 1000000000LL
#define DAY 86400LL

// Days since 1970 of a date in the proleptic Gregorian calendar, years counted from March so that
// the leap day comes last; 400 years are always 146097 days.
static int64_t days_of(int64_t year, uint32_t month, uint32_t day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	uint32_t of_era = (uint32_t)(year - era * 400);
	uint32_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, uint32_t *ret_month, uint32_t *ret_day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	uint32_t of_era = (uint32_t)(days - era * 146097);
	uint32_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * years + years / 4 - years / 100);
	uint32_t month = (5 * of_year + 2) / 153;
	*ret_day = of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = era * 400 + years + (*ret_month <= 2);
}

struct text {
	const uint8_t *p, *limit;
};

static bool take(struct text *t, uint8_t c)
{
	if (t->p == t->limit || *t->p != c)
		return false;
	t->p++;
	return true;
}

// Exactly `count` digits, as a number in [min, max].
static bool number(struct text *t, uint32_t count, uint32_t min, uint32_t max, uint32_t *ret_value)
{
	uint32_t value = 0;
	if ((size_t)(t->limit - t->p) < count)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t digit = *t->p++ - (uint32_t)'0';
		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return value >= min && value <= max;
}

static uint32_t month_days(uint32_t year, uint32_t month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

static bool parse_date(struct text *t, int64_t *ret_seconds)
{
	uint32_t year, month, day;
	if (!number(t, 4, 0, 9999, &year) || !take(t, '-') || !number(t, 2, 1, 12, &month) ||
		!take(t, '-') || !number(t, 2, 1, month_days(year, month), &day))
		return false;
	*ret_seconds = days_of(year, month, day) * DAY;
	return true;
}

static bool parse_fraction(struct text *t, uint32_t *ret_ns)
{
	uint32_t digits = 0, ns = 0;
	for (; t->p < t->limit && *t->p >= '0' && *t->p <= '9'; t->p++)
		if (digits++ < 9)
			ns = ns * 10 + (*t->p - (uint32_t)'0');
	for (uint32_t i = digits; i < 9; i++)
		ns *= 10;
	*ret_ns = ns;
	return digits > 0;
}

static bool parse_clock(struct text *t, int64_t *seconds, uint32_t *ret_ns)
{
	uint32_t hour, minute, second = 0;
	if (!number(t, 2, 0, 23, &hour) || !take(t, ':') || !number(t, 2, 0, 59, &minute))
		return false;
	if (take(t, ':')) {
		if (!number(t, 2, 0, 59, &second))
			return false;
		if (take(t, '.') && !parse_fraction(t, ret_ns))
			return false;
	}
	*seconds += hour * 3600 + minute * 60 + second;
	return true;
}

static bool parse_zone(struct text *t, int64_t *seconds)
{
	uint32_t hour, minute;
	if (t->p == t->limit || take(t, 'Z'))
		return true;
	bool east = take(t, '+');
	if (!east && !take(t, '-'))
		return false;
	if (!number(t, 2, 0, 23, &hour) || !take(t, ':') || !number(t, 2, 0, 59, &minute))
		return false;
	int64_t offset = hour * 3600 + minute * 60;
	*seconds -= east ? offset : -offset;
	return true;
}

int time_parse(const void *text, uint32_t bytes, int64_t *ret_ns)
{
	struct text t = {text, (const uint8_t *)text + bytes};
	int64_t seconds, value;
	uint32_t ns = 0;
	if (!parse_date(&t, &seconds))
		return -EINVAL;
	if (t.p < t.limit && !((take(&t, 'T') || take(&t, ' ')) && parse_clock(&t, &seconds, &ns)))
		return -EINVAL;
	if (!parse_zone(&t, &seconds) || t.p != t.limit)
		return -EINVAL;
	__int128 whole = (__int128)seconds * SECOND + ns;
	if (whole <= INT64_MIN || whole >= INT64_MAX)
		return -ERANGE;
	value = (int64_t)whole;
	*ret_ns = value;
	return 0;
}

static char *put(char *out, int64_t value, uint32_t digits)
{
	for (uint32_t i = digits; i-- > 0; value /= 10)
		out[i] = (char)('0' + value % 10);
	return out + digits;
}

uint32_t time_print(int64_t ns, char out[TIME_TEXT_BYTES])
{
	int64_t seconds = ns / SECOND - (ns % SECOND < 0);
	int64_t fraction = ns % SECOND + (ns % SECOND < 0 ? SECOND : 0);
	int64_t days = seconds / DAY - (seconds % DAY < 0), of_day = seconds - days * DAY, year;
	uint32_t month, day;
	date_of(days, &year, &month, &day);
	char *p = put(out, year, 4);
	*p = '-';
	p = put(p + 1, month, 2);
	*p = '-';
	p = put(p + 1, day, 2);
	*p = 'T';
	p = put(p + 1, of_day / 3600, 2);
	*p = ':';
	p = put(p + 1, of_day / 60 % 60, 2);
	*p = ':';
	p = put(p + 1, of_day % 60, 2);
	if (fraction != 0) {
		uint32_t digits = fraction % 1000 ? 9 : fraction % 1000000 ? 6 : 3;
		*p = '.';
		put(p + 1, fraction, 9);
		p += 1 + digits;
	}
	*p++ = 'Z';
	*p = '\0';
	return (uint32_t)(p - out);
}
