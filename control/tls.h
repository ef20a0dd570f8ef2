// TLS of the control plane: both ends show a certificate of the cluster's own authority, and who is
// asked for by an address must have it in its certificate. TLS 1.3 alone.
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

enum { TLS_WHY_BYTES = 512 };

// PEM files. All three, or none at all: no TLS.
struct tls_files {
	const char *authority; // certificates that are trusted
	const char *certificate;
	const char *key;
};

bool tls_wanted(const struct tls_files *files);

// Read the files.  Returns 0, or -EINVAL with one line naming the file in ret_why.
int tls_context_create(const struct tls_files *files, SSL_CTX **ret_context,
	char ret_why[TLS_WHY_BYTES]);

// A connection's end; `host`: the name or address that the peer's certificate must hold, NULL where
// the peer is the one that connects.  Returns NULL without memory.
SSL *tls_end_create(SSL_CTX *context, const char *host);

// OpenSSL's error `code` (0: the last one of this thread) as text.
void tls_error_text(unsigned long code, char *text, size_t bytes);
