#include "control/bus_address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const char *parse_unix(const char *path, struct bus_address *address)
{
	if (path[0] != '/')
		return "is no path from the root; write unix:/path";
	if (strlen(path) >= BUS_PATH_MAX)
		return "is too long a path for a socket; write one of at most 107 bytes";
	address->is_unix = true;
	strcpy(address->path, path);
	return NULL;
}

static const char *parse_port(const char *text, uint16_t *ret_port)
{
	char *end;
	if (*text < '0' || *text > '9')
		return "lacks its port; write tcp:host:port";
	unsigned long port = strtoul(text, &end, 10);
	if (*end || port > 65535)
		return "has a port that is no number from 0 to 65535; write tcp:host:port";
	*ret_port = (uint16_t)port;
	return NULL;
}

static const char *parse_tcp(const char *text, struct bus_address *address)
{
	const char *colon = strrchr(text, ':'), *host = text;
	if (!colon || colon == text)
		return "lacks host or port; write tcp:host:port";
	size_t length = (size_t)(colon - text);
	if (host[0] == '[') {
		if (length < 3 || host[length - 1] != ']')
			return "has an IPv6 address without brackets; write tcp:[address]:port";
		host++;
		length -= 2;
	} else if (memchr(host, ':', length)) {
		return "has an IPv6 address without brackets; write tcp:[address]:port";
	}
	if (length >= BUS_HOST_MAX)
		return "names a host in more than 255 bytes; write a shorter name, or its address";
	memcpy(address->host, host, length);
	return parse_port(colon + 1, &address->port);
}

const char *bus_address_parse(const char *text, struct bus_address *ret_address)
{
	struct bus_address address = {.is_unix = false};
	const char *wrong = "is no address; write tcp:host:port or unix:/path";
	if (strncmp(text, "unix:", 5) == 0)
		wrong = parse_unix(text + 5, &address);
	else if (strncmp(text, "tcp:", 4) == 0)
		wrong = parse_tcp(text + 4, &address);
	if (!wrong)
		*ret_address = address;
	return wrong;
}

bool bus_address_is_local(const struct bus_address *address)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (address->is_unix || strcmp(address->host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, address->host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, address->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool bus_address_is_any(const struct bus_address *address)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (address->is_unix)
		return false;
	if (inet_pton(AF_INET, address->host, &v4) == 1)
		return v4.s_addr == INADDR_ANY;
	return inet_pton(AF_INET6, address->host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}
