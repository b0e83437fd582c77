// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Tells the loader the kernel address of inodes it holds open. While the
 * descriptor is open the inode stays, so the address identifies it. */
#include "maps.h"

SEC("iter/task_file")
int learn_inodes(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	__u32 zero = 0, fd = ctx->fd;
	__u32 *reader = bpf_map_lookup_elem(&inode_reader, &zero);
	__u64 *answer;

	if (!task || !file || !reader || task->tgid != *reader)
		return 0;
	answer = bpf_map_lookup_elem(&inode_requests, &fd);
	if (answer)
		*answer = (__u64)file->f_inode;
	return 0;
}
