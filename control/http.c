#include "control/http.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

enum { CONNECTIONS_MAX = 16, CONNECT_MS_MIN = 500, CONNECT_MS_MAX = 1000, KEEPALIVE_S = 5 };

struct http {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct curl_slist *headers;
	const struct tls_files *tls;
	struct http_call *calls;
};

struct http_call {
	struct http_call *next, **link;
	struct http *http;
	CURL *easy;
	struct http_post post;
	size_t body_bytes, body_at;
	bool noticed;
	char *answer;
	size_t answer_bytes, answer_room;
	char error[CURL_ERROR_SIZE];
};

static size_t body_read(char *out, size_t size, size_t count, void *owner)
{
	struct http_call *call = owner;
	size_t left = call->body_bytes - call->body_at, room = size * count;
	size_t bytes = left < room ? left : room;
	memcpy(out, call->post.body + call->body_at, bytes);
	call->body_at += bytes;
	return bytes;
}

// libcurl asks for this to send a request again on a new connection when a reused one ended without
// an answer. The first may have been acted on.
static int body_seek(void *owner, curl_off_t offset, int origin)
{
	const struct http_call *call = owner;
	return call->body_at == 0 && offset == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static size_t answer_write(char *data, size_t size, size_t count, void *owner)
{
	struct http_call *call = owner;
	size_t bytes = size * count;
	if (call->post.timeout_ms == 0) {
		call->noticed = true;
		return bytes;
	}
	if (call->answer_bytes + bytes > HTTP_ANSWER_BYTES_MAX)
		return 0;
	if (call->answer_bytes + bytes > call->answer_room) {
		call->answer_room = 2 * (call->answer_bytes + bytes);
		call->answer = realloc(call->answer, call->answer_room);
		VERIFY(call->answer != NULL);
	}
	memcpy(call->answer + call->answer_bytes, data, bytes);
	call->answer_bytes += bytes;
	return bytes;
}

static void call_free(struct http_call *call)
{
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	curl_multi_remove_handle(call->http->multi, call->easy);
	curl_easy_cleanup(call->easy);
	free(call->post.body);
	free(call->answer);
	free(call);
}

void http_cancel(struct http_call *call)
{
	if (call)
		call_free(call);
}

static void call_end(struct http_call *call, CURLcode code)
{
	long status = 0;
	struct http_post post = call->post;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	struct http_answer answer = {.status = code == CURLE_OK ? (int)status : 0,
		.sent = call->body_at > 0,
		.body = call->answer ? call->answer : "",
		.bytes = call->answer_bytes,
		.error = call->error[0] ? call->error : curl_easy_strerror(code)};
	post.answered(post.owner, &answer);
	call_free(call);
}

// Tell what happened. A call's own end is freed after it was told; others may be cancelled or made
// meanwhile, so the list is looked through anew each time.
static void events_give(struct http *http)
{
	int left;
	for (CURLMsg *m; (m = curl_multi_info_read(http->multi, &left)) != NULL;) {
		struct http_call *call;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
		call_end(call, m->data.result);
	}
	for (struct http_call *call = http->calls; call;) {
		if (!call->noticed) {
			call = call->next;
			continue;
		}
		call->noticed = false;
		call->post.noticed(call->post.owner);
		call = http->calls;
	}
}

static void socket_ready(evutil_socket_t fd, short what, void *owner)
{
	struct http *http = owner;
	int running,
		flags = (what & EV_READ ? CURL_CSELECT_IN : 0) |
		(what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	curl_multi_socket_action(http->multi, fd, flags, &running);
	events_give(http);
}

static void timer_come(evutil_socket_t fd, short what, void *owner)
{
	struct http *http = owner;
	int running;
	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	events_give(http);
}

static int socket_change(CURL *easy, curl_socket_t fd, int what, void *owner, void *mine)
{
	struct http *http = owner;
	struct event *event = mine;
	short wanted = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
		(what & CURL_POLL_OUT ? EV_WRITE : 0));
	if (event)
		event_free(event);
	event = NULL;
	if (what != CURL_POLL_REMOVE) {
		event = event_new(http->base, fd, wanted, socket_ready, http);
		VERIFY(event != NULL && event_add(event, NULL) == 0);
	}
	curl_multi_assign(http->multi, fd, event);
	return 0;
}

static int timer_change(CURLM *multi, long after_ms, void *owner)
{
	struct http *http = owner;
	struct timeval after = {after_ms / 1000, after_ms % 1000 * 1000};
	if (after_ms < 0)
		evtimer_del(http->timer);
	else
		evtimer_add(http->timer, &after);
	return 0;
}

struct http *http_create(struct event_base *base, const struct tls_files *tls)
{
	struct http *http = calloc(1, sizeof(*http));
	if (!http || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		free(http);
		return NULL;
	}
	http->base = base;
	http->tls = tls;
	http->multi = curl_multi_init();
	http->timer = evtimer_new(base, timer_come, http);
	http->headers = curl_slist_append(NULL, "Content-Type: application/json");
	VERIFY(http->multi && http->timer && http->headers);
	VERIFY(curl_slist_append(http->headers, "Expect:") != NULL);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_change);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_change);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
	return http;
}

void http_destroy(struct http *http)
{
	if (!http)
		return;
	while (http->calls)
		call_free(http->calls);
	curl_multi_cleanup(http->multi);
	event_free(http->timer);
	curl_slist_free_all(http->headers);
	curl_global_cleanup();
	free(http);
}

static void tls_set(CURL *easy, const struct tls_files *tls)
{
	if (!tls_wanted(tls))
		return;
	curl_easy_setopt(easy, CURLOPT_CAINFO, tls->authority);
	curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->certificate);
	curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key);
}

static void limits_set(CURL *easy, uint32_t timeout_ms)
{
	long connect_ms = timeout_ms / 2;
	if (timeout_ms == 0 || connect_ms > CONNECT_MS_MAX)
		connect_ms = CONNECT_MS_MAX;
	else if (connect_ms < CONNECT_MS_MIN)
		connect_ms = CONNECT_MS_MIN;
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
}

static struct http_call *call_create(struct http *http, const struct http_post *post)
{
	struct http_call *call = calloc(1, sizeof(*call));
	VERIFY(call != NULL);
	*call = (struct http_call){.http = http,
		.post = *post,
		.body_bytes = strlen(post->body),
		.next = http->calls,
		.link = &http->calls,
		.easy = curl_easy_init()};
	VERIFY(call->easy != NULL);
	if (call->next)
		call->next->link = &call->next;
	http->calls = call;
	CURL *easy = call->easy;
	curl_easy_setopt(easy, CURLOPT_URL, post->url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, body_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, call);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, body_seek);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, answer_write);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	tls_set(easy, http->tls);
	limits_set(easy, post->timeout_ms);
	return call;
}

struct http_call *http_post(struct http *http, const struct http_post *post)
{
	struct http_call *call = call_create(http, post);
	VERIFY(curl_multi_add_handle(http->multi, call->easy) == CURLM_OK);
	return call;
}

void http_post_and_wait(struct http *http, const char *url, char *body, uint32_t timeout_ms)
{
	struct http_post post = {.url = url, .body = body, .timeout_ms = timeout_ms};
	struct http_call *call = call_create(http, &post);
	curl_easy_perform(call->easy);
	call_free(call);
}
