// SPDX-License-Identifier: Apache-2.0
/*
 * Requests that wait for a lock. They hold a chain but touch nothing until they are tried again:
 * soon after something on this device may have unlocked, and else by a timer that slows down (locks
 * of other processes of the host tell nobody).
 */
#include "vmm/virtio/fs_internal.h"

#include <string.h>

#define RETRY_MIN_NS 1000000ull
#define RETRY_MAX_NS 50000000ull

void fs_park(struct fs_dev *x, struct fs_job *j)
{
	int error = x->nparked == FS_PARKED_MAX ? ENOLCK : 0;

	for (size_t i = 0; i < ARRAY_SIZE(x->early); i++)
		if (x->early[i] == j->peek.unique)
			error = EINTR;
	if (error) {
		fs_request_dropped(x->server, j->in);
		fs_reply_error(j->in, error, &j->reply);
		j->rc = 0;
		fs_job_finish(x, j);
		return;
	}
	fs_jobs_add(&x->parked, j);
	x->nparked++;
	x->retry_ns = RETRY_MIN_NS;
	evtimer_set_ns(&x->retry, x->retry_ns);
}

/* Walks the list once: tries every request again, or interrupts the one that @unique names; whether
 * that was found. */
static bool walk(struct fs_dev *x, bool retry, uint64_t unique)
{
	struct fs_job *j, *next = x->parked.head;
	bool found = false;

	fs_jobs_init(&x->parked);
	while ((j = next)) {
		next = j->next;
		if (retry) {
			fs_job_run(x->server, j);
		} else if (j->peek.unique == unique) {
			fs_request_dropped(x->server, j->in);
			fs_reply_error(j->in, EINTR, &j->reply);
			j->rc = 0;
			found = true;
		}
		if (j->rc == FS_AGAIN) {
			fs_jobs_add(&x->parked, j);
			continue;
		}
		x->nparked--;
		fs_dev_completed(x, j);
	}
	return found;
}

void fs_park_retry(struct fs_dev *x)
{
	walk(x, true, 0);
}

void fs_park_interrupt(struct fs_dev *x, uint64_t unique)
{
	/* It has a queue of its own and may overtake its request. */
	if (!walk(x, false, unique))
		x->early[x->nearly++ % ARRAY_SIZE(x->early)] = unique;
}

void fs_park_drop(struct fs_dev *x)
{
	struct fs_job *j;

	evtimer_set_ns(&x->retry, 0);
	while ((j = fs_jobs_pop(&x->parked)))
		fs_job_put(x, j);
	x->nparked = 0;
	memset(x->early, 0, sizeof(x->early));
}

void fs_park_timer(struct evtimer *t)
{
	struct fs_dev *x = container_of(t, struct fs_dev, retry);

	if (!x->d.active || x->d.quiesced || atomic_load(&x->d.broken))
		return;
	fs_park_retry(x);
	if (!x->nparked)
		return;
	x->retry_ns = min_t(uint64_t, x->retry_ns * 2, RETRY_MAX_NS);
	evtimer_set_ns(&x->retry, x->retry_ns);
	fs_dev_serve_starved(x);
}
