// POST requests over libcurl in the loop. No request is ever sent twice by itself: what was sent
// and not answered is told as such. Thread: the loop's; events come from the loop alone.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/tls.h"

struct event_base;
struct http;
struct http_call;

enum { HTTP_ANSWER_BYTES_MAX = 64 << 20 };

struct http_answer {
	int status;        // HTTP's; 0: there was no whole answer
	bool sent;         // some of the body has gone: it may have been acted on
	const char *error; // one line when status is 0
	const char *body;
	size_t bytes;
};

struct http_post {
	const char *url;
	char *body;          // of malloc; taken
	uint32_t timeout_ms; // 0: a stream without end, whose bytes are only noticed
	void (*answered)(void *owner, const struct http_answer *answer); // the last event
	void (*noticed)(void *owner);                                    // of a stream
	void *owner;
};

// Texts of `tls` stay the caller's and in use.  Returns NULL without memory.
struct http *http_create(struct event_base *base, const struct tls_files *tls);
void http_destroy(struct http *http); // calls end without an event

struct http_call *http_post(struct http *http, const struct http_post *post);
void http_cancel(struct http_call *call); // no event follows

// The same at once, waiting for at most `timeout_ms`; the answer is not looked at.
void http_post_and_wait(struct http *http, const char *url, char *body, uint32_t timeout_ms);
