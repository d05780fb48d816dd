// SPDX-License-Identifier: Apache-2.0
/*
 * A request between its chain and the file server.
 */
#include "vmm/virtio/fs_internal.h"

#include <string.h>

#include "lib/io.h"

#define OUT_HEADER 16 /* of every reply; READ's data follows it */

int fs_job_gather(struct fs_job *j)
{
	const struct vq_chain *c = &j->chain;
	size_t fixed;

	if (c->read_len < FS_PEEK_LEN)
		return -EBADMSG;
	vq_chain_read(c, 0, j->in, FS_PEEK_LEN);
	if (fs_peek(j->in, c->read_len, &j->peek) < 0)
		return -EBADMSG;
	/* One that is too long is handed on cut: the server judges what it gets. */
	fixed = min_t(size_t, j->peek.fixed, FS_MAX_REQUEST);
	j->payload = j->peek.fixed < c->read_len;
	vq_chain_read(c, FS_PEEK_LEN, j->in + FS_PEEK_LEN, fixed - FS_PEEK_LEN);
	j->in_len = fixed;
	if (j->payload)
		j->niov = vq_chain_iov(c, false, fixed, c->read_len - fixed, j->iov, VQ_MAX_SEGS);
	else
		j->niov = vq_chain_iov(c, true, OUT_HEADER, UINT64_MAX, j->iov, VQ_MAX_SEGS);
	bug_on(j->niov < 0); /* a chain has no more segments */
	return 0;
}

void fs_job_run(struct fs_server *s, struct fs_job *j)
{
	bool data = !j->payload && j->niov > 0;
	uint64_t begin = j->peek.sync ? io_now_ns() : 0;

	j->reply = (struct fs_reply){
		.head = j->out,
		.head_size = sizeof(j->out),
		.data = data ? j->iov : NULL,
		.data_count = data ? j->niov : 0,
	};
	j->rc = fs_request(s, j->in, j->in_len, j->payload ? j->iov : NULL,
			   j->payload ? j->niov : 0, j->chain.write_len, &j->reply);
	if (j->peek.sync)
		j->took_ns = io_now_ns() - begin;
}

void fs_job_finish(struct fs_dev *x, struct fs_job *j)
{
	struct vq *q = &x->d.vq[j->q];
	uint64_t len = 0;

	if (j->rc == 0 && j->reply.head_len) {
		len = j->reply.head_len + j->reply.data_len;
		bug_on(len > j->chain.write_len);
		if (j->reply.data_len)
			vq_chain_mark_dirty(q, &j->chain, OUT_HEADER, j->reply.data_len);
		vq_chain_write(q, &j->chain, 0, j->out, j->reply.head_len);
	}
	vq_push(q, j->chain.head, (uint32_t)len);
	vdev_signal(&x->d, j->q);
	fs_job_put(x, j);
}

struct fs_job *fs_job_get(struct fs_dev *x)
{
	struct fs_job *j = x->free;

	if (j)
		x->free = j->next;
	else if (x->jobs_used < FS_JOBS)
		j = &x->jobs[x->jobs_used++]; /* its memory is touched now, not before */
	return j;
}

void fs_job_put(struct fs_dev *x, struct fs_job *j)
{
	j->next = x->free;
	x->free = j;
}
