#include "dataplane/csv.h"

#include <errno.h>
#include <string.h>

#include "numa/assert.h"

void csv_start(struct csv_reader *r, uint64_t offset, uint64_t line)
{
	r->at = r->limit = NULL;
	r->last = false;
	r->offset = offset;
	r->line = line;
	r->skip_state = 0;
}

static void take(struct csv_reader *r, const uint8_t *behind)
{
	r->offset += (uint64_t)(behind - r->at);
	r->at = behind;
}

static uint64_t count_lines(const uint8_t *p, const uint8_t *limit)
{
	uint64_t lines = 0;
	while ((p = memchr(p, '\n', (size_t)(limit - p))) != NULL) {
		lines++;
		p++;
	}
	return lines;
}

// The RFC's grammar byte by byte, for rows too large to keep; scan() below is the same, faster.
enum skip {
	SKIP_NONE,
	SKIP_START,
	SKIP_PLAIN,
	SKIP_QUOTED,
	SKIP_QUOTE,
	SKIP_CR,
	SKIP_BROKEN,
	SKIP_END
};

static enum skip skip_byte(enum skip state, uint8_t byte)
{
	if (state == SKIP_QUOTED)
		return byte == '"' ? SKIP_QUOTE : SKIP_QUOTED;
	if (byte == '\n')
		return SKIP_END;
	if (state == SKIP_QUOTE && byte == '"')
		return SKIP_QUOTED;
	if (state == SKIP_BROKEN || state == SKIP_CR)
		return SKIP_BROKEN;
	if (byte == ',')
		return SKIP_START;
	if (state == SKIP_QUOTE)
		return byte == '\r' ? SKIP_CR : SKIP_BROKEN;
	if (byte == '"')
		return state == SKIP_START ? SKIP_QUOTED : SKIP_BROKEN;
	return SKIP_PLAIN;
}

// Pass over what the window holds of a row that is too large.
static enum csv_status skip(struct csv_reader *r, struct csv_row *row)
{
	const uint8_t *p = r->at;
	enum skip state = r->skip_state;
	while (p < r->limit && state != SKIP_END)
		state = skip_byte(state, *p++);
	r->line += count_lines(r->at, p);
	take(r, p);
	r->skip_state = state;
	if (state != SKIP_END && !r->last)
		return CSV_MORE;
	r->skip_state = SKIP_NONE;
	row->data = r->head;
	row->length = r->head_length;
	row->line = r->skip_line;
	row->reject = WEIR_DROP_TOO_LARGE;
	row->field_count = 0;
	return CSV_ROW;
}

static enum csv_status skip_begin(struct csv_reader *r, struct csv_row *row)
{
	r->skip_state = SKIP_START;
	r->skip_line = r->line;
	r->head_length = CSV_HEAD_BYTES;
	memcpy(r->head, r->at, CSV_HEAD_BYTES);
	return skip(r, row);
}

// Stops of an unquoted field.
static const uint8_t stops[256] = {[','] = 1, ['\n'] = 1, ['"'] = 1};

struct scan {
	const uint8_t *p, *limit;
	bool bad;
	bool quotes; // any, so that lines must be counted
};

// Each of these leaves p at the separator or the line end that ends the field, or at the limit.
static void scan_broken(struct scan *s)
{
	const uint8_t *end = memchr(s->p, '\n', (size_t)(s->limit - s->p));
	s->bad = true;
	s->p = end == NULL ? s->limit : end;
}

static void scan_plain(struct scan *s, struct csv_field *field)
{
	const uint8_t *p = s->p;
	field->data = p;
	while (p < s->limit && !stops[*p])
		p++;
	field->length = (uint32_t)(p - field->data);
	field->quoted = field->doubled = false;
	s->p = p;
	if (p < s->limit && *p == '"')
		scan_broken(s);
}

static void scan_quoted(struct scan *s, struct csv_field *field)
{
	const uint8_t *p = ++s->p;
	field->data = p;
	field->quoted = true;
	field->doubled = false;
	s->quotes = true;
	for (;; p += 2) {
		const uint8_t *quote = memchr(p, '"', (size_t)(s->limit - p));
		if (quote == NULL) {
			s->bad = true;
			s->p = s->limit;
			return;
		}
		p = quote;
		if (p + 1 == s->limit || p[1] != '"')
			break;
		field->doubled = true;
	}
	field->length = (uint32_t)(p - field->data);
	p++;
	if (p < s->limit && *p == '\r' && (p + 1 == s->limit || p[1] == '\n'))
		p++;
	s->p = p;
	if (p < s->limit && *p != ',' && *p != '\n')
		scan_broken(s);
}

// Find the row's fields. Leaves p at its line end, or at the limit.
static void scan_row(struct scan *s, struct csv_row *row)
{
	struct csv_field surplus;
	row->field_count = 0;
	for (;; s->p++) {
		bool room = row->field_count < CSV_COLUMNS_MAX;
		struct csv_field *field = room ? &row->fields[row->field_count++] : &surplus;
		s->bad |= !room;
		if (s->p < s->limit && *s->p == '"')
			scan_quoted(s, field);
		else
			scan_plain(s, field);
		if (s->p == s->limit || *s->p == '\n')
			return;
	}
}

// The CR of a CR LF belongs to the line end.
static void strip_cr(struct csv_row *row)
{
	struct csv_field *last = &row->fields[row->field_count - 1];
	if (row->length == 0 || row->data[row->length - 1] != '\r')
		return;
	row->length--;
	if (!last->quoted && last->length > 0)
		last->length--;
}

enum csv_status csv_row_next(struct csv_reader *r, struct csv_row *row)
{
	if (r->skip_state != SKIP_NONE)
		return skip(r, row);
	if (r->at == r->limit)
		return r->last ? CSV_END : CSV_MORE;
	struct scan s = {.p = r->at, .limit = r->limit};
	scan_row(&s, row);
	bool ended = s.p < r->limit;
	if ((uint64_t)(s.p - r->at) > CSV_ROW_BYTES_MAX)
		return skip_begin(r, row);
	if (!ended && !r->last)
		return CSV_MORE;
	row->data = r->at;
	row->length = (uint32_t)(s.p - r->at);
	row->line = r->line;
	row->reject = s.bad ? WEIR_DROP_MALFORMED : WEIR_DROP_COUNT;
	r->line += ended + (s.quotes ? count_lines(r->at, s.p) : 0);
	take(r, s.p + ended);
	strip_cr(row);
	return CSV_ROW;
}
