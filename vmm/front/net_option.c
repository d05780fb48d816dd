// SPDX-License-Identifier: Apache-2.0
#include "vmm/front/net_option.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/ratelimit.h"
#include "vmm/front/keyval.h"

#define OPTION "--net"

static int parse_mac(const char *key, const char *text, uint8_t *mac, struct err *e)
{
	static const uint8_t zero[6];
	unsigned v[6];
	int end = 0;

	if (!text)
		return 0;
	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &end) != 6 ||
	    text[end] || end != 17)
		return err_set(e, EINVAL, OPTION " %s: \"%s\" is not an address such as 02:00:00:00:00:01",
			       key, text);
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)v[i];
	if (mac[0] & 1 || !memcmp(mac, zero, 6))
		return err_set(e, EINVAL, OPTION " %s: \"%s\" is not the address of a station", key, text);
	return 0;
}

/* "3", or "[3,4,5-7]". */
static int parse_fds(const char *text, struct net_option *o, struct err *e)
{
	const char *p = text;
	bool list = p && *p == '[';

	for (p += list; p;) {
		char *end;
		unsigned long a = isdigit((unsigned char)*p) ? strtoul(p, &end, 10) : 0, b = a;

		if (a < 3 || a > INT32_MAX)
			break;
		if (list && *end == '-')
			b = isdigit((unsigned char)end[1]) ? strtoul(end + 1, &end, 10) : 0;
		if (b < a || b - a >= NET_OPTION_PAIRS)
			break;
		for (; a <= b; a++) {
			if (o->nfds == NET_OPTION_PAIRS)
				return err_set(e, EINVAL, OPTION " fd: more than %d", NET_OPTION_PAIRS);
			o->fd[o->nfds++] = (int)a;
		}
		if (!strcmp(end, list ? "]" : ""))
			return 0;
		p = list && *end == ',' ? end + 1 : NULL;
	}
	return err_set(e, EINVAL, OPTION " fd: \"%s\" is no list of descriptors from 3 on, such as [3,4]", text);
}

static int check_ip(const char *key, const char *text, struct err *e)
{
	struct in_addr a;

	if (text && inet_pton(AF_INET, text, &a) != 1)
		return err_set(e, EINVAL, OPTION " %s: \"%s\" is no IPv4 address", key, text);
	return 0;
}

static int check_rate(const struct net_option *o, struct err *e)
{
	const struct rate_cfg c = { { o->bw_size, o->bw_burst, o->bw_refill },
				    { o->ops_size, o->ops_burst, o->ops_refill } };
	int rc = rate_check(&c, e);

	return rc < 0 ? err_wrap(e, rc, OPTION " bw_, ops_") : 0;
}

/* What only all keys together tell. */
static int check(const struct net_option *o, struct err *e)
{
	if (o->queues % 2)
		return err_set(e, EINVAL, OPTION " num_queues: %llu is not even", (unsigned long long)o->queues);
	if (o->queue_size & (o->queue_size - 1))
		return err_set(e, EINVAL, OPTION " queue_size: %llu is no power of two",
			       (unsigned long long)o->queue_size);
	if (o->nfds && o->nfds != o->queues / 2)
		return err_set(e, EINVAL, OPTION " fd: %u for num_queues=%llu, which takes one for two", o->nfds,
			       (unsigned long long)o->queues);
	if (o->nfds && (o->tap || o->ip || o->mask || memcmp(o->host_mac, (uint8_t[6]){ 0 }, 6)))
		return err_set(e, EINVAL, OPTION " fd: tap, ip, mask and host_mac are for taps that are opened here");
	if (o->mask && !o->ip)
		return err_set(e, EINVAL, OPTION " mask: without ip");
	if (o->tap && strlen(o->tap) > 15)
		return err_set(e, EINVAL, OPTION " tap: \"%s\" is longer than 15 characters", o->tap);
	if (o->id && strlen(o->id) > 31)
		return err_set(e, EINVAL, OPTION " id: \"%s\" is longer than 31 characters", o->id);
	if (!o->csum && (o->tso || o->ufo))
		return err_set(e, EINVAL, OPTION " offload_csum: offload_tso and offload_ufo need it");
	if (o->vhost && (o->bw_size || o->ops_size))
		return err_set(e, EINVAL, OPTION " vhost: the kernel keeps no limits, bw_size and ops_size are not for it");
	return check_rate(o, e);
}

/* What kv_parse() fills in: values that become something else are text first. */
struct filled {
	struct net_option o;
	char *mac, *host_mac, *fd;
};

#define AT(f)   offsetof(struct filled, o.f)
#define TEXT(f) offsetof(struct filled, f)

static const struct kv_key keys[] = {
	{ "tap", KV_STR, AT(tap), 0, 0, false },
	{ "ip", KV_STR, AT(ip), 0, 0, false },
	{ "mask", KV_STR, AT(mask), 0, 0, false },
	{ "mac", KV_STR, TEXT(mac), 0, 0, false },
	{ "host_mac", KV_STR, TEXT(host_mac), 0, 0, false },
	{ "mtu", KV_UINT, AT(mtu), 1280, 65535, false },
	{ "fd", KV_STR, TEXT(fd), 0, 0, false },
	{ "num_queues", KV_UINT, AT(queues), 2, 2 * NET_OPTION_PAIRS, false },
	{ "queue_size", KV_UINT, AT(queue_size), 2, 1024, false },
	{ "id", KV_STR, AT(id), 0, 0, false },
	{ "offload_csum", KV_BOOL, AT(csum), 0, 0, false },
	{ "offload_tso", KV_BOOL, AT(tso), 0, 0, false },
	{ "offload_ufo", KV_BOOL, AT(ufo), 0, 0, false },
	{ "offload_uso", KV_BOOL, AT(uso), 0, 0, false },
	{ "bw_size", KV_UINT, AT(bw_size), 0, RATE_MAX_TOKENS, false },
	{ "bw_one_time_burst", KV_UINT, AT(bw_burst), 0, RATE_MAX_TOKENS, false },
	{ "bw_refill_time", KV_UINT, AT(bw_refill), 0, RATE_MAX_REFILL_MS, false },
	{ "ops_size", KV_UINT, AT(ops_size), 0, RATE_MAX_TOKENS, false },
	{ "ops_one_time_burst", KV_UINT, AT(ops_burst), 0, RATE_MAX_TOKENS, false },
	{ "ops_refill_time", KV_UINT, AT(ops_refill), 0, RATE_MAX_REFILL_MS, false },
	{ "vhost", KV_BOOL, AT(vhost), 0, 0, false },
	{ "pci_device_id", KV_UINT, AT(slot), 1, 31, false },
	{ .name = "iommu", .type = KV_UNSUPPORTED },
	{ .name = "vhost_user", .type = KV_UNSUPPORTED },
	{ .name = "socket", .type = KV_UNSUPPORTED },
	{ .name = "vhost_mode", .type = KV_UNSUPPORTED },
	{ .name = "pci_segment", .type = KV_UNSUPPORTED },
	{ .name = NULL },
};

int net_option_parse(const char *text, struct net_option *o, struct err *e)
{
	struct filled t = { .o = { .queues = 2, .queue_size = 256, .csum = true, .tso = true,
				   .ufo = true, .uso = true, .slot = -1 } };
	int rc = kv_parse(OPTION, text, keys, &t, e);

	if (rc == 0)
		rc = parse_mac("mac", t.mac, t.o.mac, e);
	if (rc == 0)
		rc = parse_mac("host_mac", t.host_mac, t.o.host_mac, e);
	if (rc == 0 && t.fd)
		rc = parse_fds(t.fd, &t.o, e);
	if (rc == 0)
		rc = check_ip("ip", t.o.ip, e);
	if (rc == 0)
		rc = check_ip("mask", t.o.mask, e);
	if (rc == 0)
		rc = check(&t.o, e);
	t.o.uso = t.o.uso && t.o.csum;
	free(t.mac);
	free(t.host_mac);
	free(t.fd);
	if (rc < 0)
		net_option_free(&t.o);
	else
		*o = t.o;
	return rc;
}

void net_option_free(struct net_option *o)
{
	free(o->id);
	free(o->tap);
	free(o->ip);
	free(o->mask);
	*o = (struct net_option){ .nfds = 0 };
}
