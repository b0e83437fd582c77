// SPDX-License-Identifier: Apache-2.0
/* Calls that change what the machine or a namespace looks like. Mounts are made in a namespace of their own. */
#include "trigger.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* <sys/mount.h> and <linux/mount.h> do not go together. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
enum { DETACH = 2 };

static void own_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail("unshare (needs root)");
	make_directory("target");
}

static void changed(const char *name, const char *source, const char *path, const char *type, long flags, long res)
{
	begin(name);
	add_text("source", source);
	add_text("path", path);
	add_text("fstype", type);
	add_number("mount_flags", flags);
	end(res);
}

static void do_mount(int index)
{
	changed("mount", "trigger", "target", "tmpfs", MS_NOSUID,
		call(SYS_mount, "trigger", "target", "tmpfs", MS_NOSUID, NULL));
	umount2("target", DETACH);
}

static void do_umount(int index)
{
	if (mount("trigger", "target", "tmpfs", 0, NULL))
		fail("mount");
	changed("umount2", "", "target", "", DETACH, call(SYS_umount2, "target", DETACH));
}

static void chroot_child(int index)
{
	changed("chroot", "", "target", "", 0, call(SYS_chroot, "target"));
}

static void make_target(void)
{
	make_directory("target");
}

static void do_chroot(int index)
{
	in_child(chroot_child, index);
}

static void pivot_child(int index)
{
	own_mounts();
	if (mount("trigger", "target", "tmpfs", 0, NULL) || chdir("target"))
		fail("mount");
	make_directory("old");
	changed("pivot_root", "", ".", "", 0, call(SYS_pivot_root, ".", "old"));
}

static void do_pivot_root(int index)
{
	in_child(pivot_child, index);
}

static void do_open_tree(int index)
{
	long res = call(SYS_open_tree, AT_FDCWD, "target", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	changed("open_tree", "", "target", "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, res);
	close(res);
}

static void do_move_mount(int index)
{
	int fd = call(SYS_open_tree, AT_FDCWD, "target", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	changed("move_mount", "", "target", "", MOVE_MOUNT_F_EMPTY_PATH,
		call(SYS_move_mount, fd, "", AT_FDCWD, "target", MOVE_MOUNT_F_EMPTY_PATH));
	umount2("target", DETACH);
	close(fd);
}

static void do_mount_setattr(int index)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NOSUID };
	int fd = call(SYS_open_tree, AT_FDCWD, "target", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	changed("mount_setattr", "", "", "", AT_EMPTY_PATH,
		call(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)));
	close(fd);
}

static void do_fsopen(int index)
{
	long res = call(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

	changed("fsopen", "", "", "tmpfs", FSOPEN_CLOEXEC, res);
	close(res);
}

static void do_fsmount(int index)
{
	int context = call(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	long res;

	call(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	res = call(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	changed("fsmount", "", "", "", FSMOUNT_CLOEXEC, res);
	close(res);
	close(context);
}

static void unshare_child(int index)
{
	long flags = number_argument(0, CLONE_NEWUTS);
	long res = call(SYS_unshare, flags);

	begin("unshare");
	add_number("ns_flags", flags);
	end(res);
}

static void do_unshare(int index)
{
	in_child(unshare_child, index);
}

static void setns_child(int index)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	long res = call(SYS_setns, fd, CLONE_NEWUTS);

	begin("setns");
	add_number("fd", fd);
	add_number("ns_flags", CLONE_NEWUTS);
	end(res);
}

static void do_setns(int index)
{
	in_child(setns_child, index);
}

static void do_bpf(int index)
{
	union bpf_attr attributes = { 0 };
	long res;

	attributes.map_type = BPF_MAP_TYPE_ARRAY;
	attributes.key_size = 4;
	attributes.value_size = 4;
	attributes.max_entries = 1;
	res = call(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));
	begin("bpf");
	add_number("cmd", BPF_MAP_CREATE);
	end(res);
	close(res);
}

/* Nothing is ever loaded: the image is no module. */
static void do_init_module(int index)
{
	static char image[64];
	long res = call(SYS_init_module, image, sizeof(image), "answer=42");

	begin("init_module");
	add_text("args", "answer=42");
	end(res);
}

static void do_finit_module(int index)
{
	int fd = open("module.ko", O_RDONLY | O_CLOEXEC);
	long res = call(SYS_finit_module, fd, "answer=42", 0);

	begin("finit_module");
	add_number("fd", fd);
	add_text("path", "module.ko");
	add_text("args", "answer=42");
	end(res);
	close(fd);
}

static void make_module(void)
{
	make_file("module.ko");
}

static void do_delete_module(int index)
{
	long res = call(SYS_delete_module, "no_such_module", O_NONBLOCK);

	begin("delete_module");
	add_text("args", "no_such_module");
	end(res);
}

static void do_io_uring_setup(int index)
{
	struct io_uring_params parameters = { .flags = IORING_SETUP_CLAMP };
	long res = call(SYS_io_uring_setup, 8, &parameters);

	begin("io_uring_setup");
	add_number("entries", 8);
	add_number("setup_flags", IORING_SETUP_CLAMP);
	end(res);
	close(res);
}

const struct operation system_operations[] = {
	{ "mount", "(root)", own_mounts, do_mount },
	{ "umount2", "(root)", own_mounts, do_umount },
	{ "chroot", "(root)", make_target, do_chroot },
	{ "pivot_root", "(root)", NULL, do_pivot_root },
	{ "open_tree", "(root)", own_mounts, do_open_tree },
	{ "move_mount", "(root)", own_mounts, do_move_mount },
	{ "mount_setattr", "(root)", own_mounts, do_mount_setattr },
	{ "fsopen", "(root)", own_mounts, do_fsopen },
	{ "fsmount", "(root)", own_mounts, do_fsmount },
	{ "unshare", "[FLAGS] (root)", NULL, do_unshare },
	{ "setns", "(root)", NULL, do_setns },
	{ "bpf", "(root)", NULL, do_bpf },
	{ "init_module", "", NULL, do_init_module },
	{ "finit_module", "", make_module, do_finit_module },
	{ "delete_module", "", NULL, do_delete_module },
	{ "io_uring_setup", "", NULL, do_io_uring_setup },
	{ 0 },
};
