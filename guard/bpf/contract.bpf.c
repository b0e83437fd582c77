// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Names every type of event.h and policy.h that nothing else keeps, so that the
 * object's BTF states the whole contract. */
#include "event.h"
#include "policy.h"

union contract {
	struct event_process_fork process_fork;
	struct event_process_exec process_exec;
	struct event_process_exit process_exit;
	struct event_process_chdir process_chdir;
	struct event_process_setuid process_setuid;
	struct event_process_ptrace process_ptrace;
	struct event_process_vm_write process_vm_write;
	struct event_process_signal process_signal;
	struct event_process_namespace process_namespace;
	struct event_file_open file_open;
	struct event_file_unlink file_unlink;
	struct event_file_rename file_rename;
	struct event_file_mkdir file_mkdir;
	struct event_file_rmdir file_rmdir;
	struct event_file_link file_link;
	struct event_file_symlink file_symlink;
	struct event_file_truncate file_truncate;
	struct event_file_chmod file_chmod;
	struct event_file_chown file_chown;
	struct event_network_connect network_connect;
	struct event_network_bind network_bind;
	struct event_network_listen network_listen;
	struct event_network_accept network_accept;
	struct event_network_send network_send;
	struct event_fd_dup fd_dup;
	struct event_memfd_create memfd_create;
	struct event_mount_change mount_change;
	struct event_kernel_bpf kernel_bpf;
	struct event_kernel_module kernel_module;
	struct event_io_uring_setup io_uring_setup;
	enum event_limit event_limit;
	enum event_kind event_kind;
	enum event_call event_call;
	enum event_verdict event_verdict;
	enum event_flag event_flag;
	enum exec_flag exec_flag;
	enum policy_limit policy_limit;
	enum operation_bit operation_bit;
	enum policy_action policy_action;
	enum name_match name_match;
	enum call_abi call_abi;
	enum handler handler;
	enum record_level record_level;
};

const union contract *contract SEC(".rodata.contract") = 0;
