#include "control/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

bool tls_wanted(const struct tls_files *files)
{
	return files->authority || files->certificate || files->key;
}

void tls_error_text(unsigned long code, char *text, size_t bytes)
{
	if (code == 0)
		code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);
	snprintf(text, bytes, "%s", reason ? reason : "unknown TLS error");
	ERR_clear_error();
}

static int context_fail(SSL_CTX *context, const char *what, const char *file,
	char ret_why[TLS_WHY_BYTES])
{
	char reason[128];
	unsigned long first = ERR_peek_error(); // what the system said of a file
	tls_error_text(0, reason, sizeof(reason));
	if (ERR_SYSTEM_ERROR(first))
		snprintf(reason, sizeof(reason), "%s", strerror(ERR_GET_REASON(first)));
	snprintf(ret_why, TLS_WHY_BYTES, "tls.%s: %s: %s", what, file, reason);
	SSL_CTX_free(context);
	return -EINVAL;
}

int tls_context_create(const struct tls_files *files, SSL_CTX **ret_context,
	char ret_why[TLS_WHY_BYTES])
{
	if (!files->authority || !files->certificate || !files->key) {
		snprintf(ret_why, TLS_WHY_BYTES,
			"tls: authority, certificate and key are all needed, or none");
		return -EINVAL;
	}
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_method());
	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1)
		return context_fail(context, "version", "TLS 1.3", ret_why);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 0);
	if (SSL_CTX_load_verify_locations(context, files->authority, NULL) != 1)
		return context_fail(context, "authority", files->authority, ret_why);
	if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
		return context_fail(context, "certificate", files->certificate, ret_why);
	if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1)
		return context_fail(context, "key", files->key, ret_why);
	*ret_context = context;
	return 0;
}

static bool end_expect(SSL *ssl, const char *host)
{
	unsigned char binary[sizeof(struct in6_addr)];
	if (inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

SSL *tls_end_create(SSL_CTX *context, const char *host)
{
	SSL *ssl = SSL_new(context);
	if (ssl && host && !end_expect(ssl, host)) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}
