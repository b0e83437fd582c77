// SPDX-License-Identifier: Apache-2.0
/* Calls on files. Every path is relative; PATH arguments default to names made here. */
#include "trigger.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODE 0640

static void for_each(const char *prefix, void (*make)(const char *))
{
	for (int i = 0; i < repetitions(); i++)
		make(name_for(prefix, i));
}

static void make_files(void)
{
	for_each("file", make_file);
}

static void make_pairs(void)
{
	for_each("file", make_file);
	for_each("other", make_file);
}

static void make_directories(void)
{
	for_each("dir", make_directory);
}

static int directory_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

static void prepare_dirfd(void)
{
	make_files();
	directory_fd();
}

static void prepare_dirfd_only(void)
{
	directory_fd();
}

static void prepare_dirfd_pairs(void)
{
	make_pairs();
	directory_fd();
}

static const char *open_path(int index)
{
	return argument(0, name_for("file", index));
}

static int open_flags(void)
{
	return number_argument(1, O_CREAT | O_WRONLY | O_CLOEXEC);
}

static void opened(const char *name, const char *path, int flags, long res)
{
	begin(name);
	add_text("path", path);
	add_number("open_flags", flags);
	end(res);
	if (res >= 0)
		close(res);
}

static void do_open(int index)
{
	const char *path = open_path(index);

	opened("open", path, open_flags(), call(SYS_open, path, open_flags(), MODE));
}

static void do_openat(int index)
{
	const char *path = open_path(index);

	opened("openat", path, open_flags(), call(SYS_openat, AT_FDCWD, path, open_flags(), MODE));
}

static void do_openat_dirfd(int index)
{
	const char *path = open_path(index);

	opened("openat", path, open_flags(), call(SYS_openat, directory_fd(), path, open_flags(), MODE));
}

static void do_openat2(int index)
{
	const char *path = open_path(index);
	struct open_how how = { .flags = open_flags(), .mode = open_flags() & O_CREAT ? MODE : 0 };

	opened("openat2", path, open_flags(), call(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

static void do_creat(int index)
{
	const char *path = open_path(index);

	opened("creat", path, O_CREAT | O_WRONLY | O_TRUNC, call(SYS_creat, path, MODE));
}

static void do_open_by_handle_at(int index)
{
	static char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)space;
	const char *path = name_for("file", index);
	int mount;

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, path, handle, &mount, 0))
		fail("name_to_handle_at");
	mount = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	opened("open_by_handle_at", path, O_RDONLY, call(SYS_open_by_handle_at, mount, handle, O_RDONLY));
	close(mount);
}

static void one_path(const char *name, const char *path, long res)
{
	begin(name);
	add_text("path", path);
	end(res);
}

static void two_paths(const char *name, const char *from, const char *to, long res)
{
	begin(name);
	add_text("path", from);
	add_text("new_path", to);
	end(res);
}

static void do_unlink(int index)
{
	const char *path = argument(0, name_for("file", index));

	one_path("unlink", path, call(SYS_unlink, path));
}

static void do_unlinkat(int index)
{
	const char *path = name_for("file", index);

	one_path("unlinkat", path, call(SYS_unlinkat, directory_fd(), path, 0));
}

static void do_rmdir(int index)
{
	const char *path = name_for("dir", index);

	one_path("rmdir", path, call(SYS_rmdir, path));
}

static void do_unlinkat_directory(int index)
{
	const char *path = name_for("dir", index);

	one_path("unlinkat", path, call(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}

static void do_rename(int index)
{
	const char *from = argument(0, name_for("file", index)), *to = argument(1, name_for("moved", index));

	two_paths("rename", from, to, call(SYS_rename, from, to));
}

static void do_renameat(int index)
{
	const char *from = name_for("file", index), *to = name_for("moved", index);

	two_paths("renameat", from, to, call(SYS_renameat, directory_fd(), from, AT_FDCWD, to));
}

static void do_renameat2(int index)
{
	const char *from = name_for("file", index), *to = name_for("moved", index);

	two_paths("renameat2", from, to, call(SYS_renameat2, AT_FDCWD, from, directory_fd(), to, RENAME_NOREPLACE));
}

static void do_exchange(int index)
{
	const char *from = name_for("file", index), *to = name_for("other", index);

	two_paths("renameat2", from, to, call(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE));
}

static void do_mkdir(int index)
{
	const char *path = argument(0, name_for("dir", index));

	one_path("mkdir", path, call(SYS_mkdir, path, 0750));
}

static void do_mkdirat(int index)
{
	const char *path = name_for("dir", index);

	one_path("mkdirat", path, call(SYS_mkdirat, directory_fd(), path, 0750));
}

static void do_link(int index)
{
	const char *from = argument(0, name_for("file", index)), *to = name_for("link", index);

	two_paths("link", from, to, call(SYS_link, from, to));
}

static void do_linkat(int index)
{
	const char *from = name_for("file", index), *to = name_for("link", index);

	two_paths("linkat", from, to, call(SYS_linkat, AT_FDCWD, from, directory_fd(), to, 0));
}

static void linked(const char *name, const char *target, const char *path, long res)
{
	begin(name);
	add_text("target", target);
	add_text("path", path);
	end(res);
}

static void do_symlink(int index)
{
	const char *target = argument(0, "no/such/target"), *path = argument(1, name_for("symlink", index));

	linked("symlink", target, path, call(SYS_symlink, target, path));
}

static void do_symlinkat(int index)
{
	const char *path = name_for("symlink", index);

	linked("symlinkat", "no/such/target", path, call(SYS_symlinkat, "no/such/target", directory_fd(), path));
}

static int reopen(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	return fd;
}

static void sized(const char *name, const char *path, long length, long res)
{
	begin(name);
	add_text("path", path);
	add_number("length", length);
	end(res);
}

static void do_truncate(int index)
{
	const char *path = argument(0, name_for("file", index));

	sized("truncate", path, 97, call(SYS_truncate, path, 97L));
}

static void do_ftruncate(int index)
{
	const char *path = name_for("file", index);
	int fd = reopen(path);

	sized("ftruncate", path, 89, call(SYS_ftruncate, fd, 89L));
	close(fd);
}

static void moded(const char *name, const char *path, int mode, long res)
{
	begin(name);
	add_text("path", path);
	add_number("mode", mode);
	end(res);
}

static void do_chmod(int index)
{
	const char *path = argument(0, name_for("file", index));

	moded("chmod", path, 0711, call(SYS_chmod, path, 0711));
}

static void do_fchmod(int index)
{
	const char *path = name_for("file", index);
	int fd = reopen(path);

	moded("fchmod", path, 0701, call(SYS_fchmod, fd, 0701));
	close(fd);
}

static void do_fchmodat(int index)
{
	const char *path = name_for("file", index);

	moded("fchmodat", path, 0705, call(SYS_fchmodat, directory_fd(), path, 0705));
}

static void do_fchmodat2(int index)
{
	const char *path = name_for("file", index);

	/* Since Linux 6.6; older headers do not name it. */
	moded("fchmodat2", path, 0704, call(452, AT_FDCWD, path, 0704, 0));
}

static void owned(const char *name, const char *path, long res)
{
	begin(name);
	add_text("path", path);
	add_number("owner", number_argument(0, getuid()));
	add_number("group", number_argument(1, getgid()));
	end(res);
}

static void do_chown(int index)
{
	const char *path = name_for("file", index);

	owned("chown", path, call(SYS_chown, path, number_argument(0, getuid()), number_argument(1, getgid())));
}

static void do_lchown(int index)
{
	const char *path = name_for("file", index);

	owned("lchown", path, call(SYS_lchown, path, number_argument(0, getuid()), number_argument(1, getgid())));
}

static void do_fchown(int index)
{
	const char *path = name_for("file", index);
	int fd = reopen(path);

	owned("fchown", path, call(SYS_fchown, fd, number_argument(0, getuid()), number_argument(1, getgid())));
	close(fd);
}

static void do_fchownat(int index)
{
	const char *path = name_for("file", index);

	owned("fchownat", path,
	      call(SYS_fchownat, directory_fd(), path, number_argument(0, getuid()), number_argument(1, getgid()), 0));
}

const struct operation file_operations[] = {
	{ "open", "[PATH FLAGS]", NULL, do_open },
	{ "openat", "[PATH FLAGS]", NULL, do_openat },
	{ "openat_dirfd", "[PATH FLAGS]", prepare_dirfd_only, do_openat_dirfd },
	{ "openat2", "[PATH FLAGS]", NULL, do_openat2 },
	{ "creat", "[PATH]", NULL, do_creat },
	{ "open_by_handle_at", "(root)", make_files, do_open_by_handle_at },
	{ "unlink", "[PATH]", make_files, do_unlink },
	{ "unlinkat", "", prepare_dirfd, do_unlinkat },
	{ "rmdir", "", make_directories, do_rmdir },
	{ "unlinkat_directory", "", make_directories, do_unlinkat_directory },
	{ "rename", "[FROM TO]", make_files, do_rename },
	{ "renameat", "", prepare_dirfd, do_renameat },
	{ "renameat2", "", prepare_dirfd, do_renameat2 },
	{ "exchange", "", prepare_dirfd_pairs, do_exchange },
	{ "mkdir", "[PATH]", NULL, do_mkdir },
	{ "mkdirat", "", prepare_dirfd_only, do_mkdirat },
	{ "link", "[FROM]", make_files, do_link },
	{ "linkat", "", prepare_dirfd, do_linkat },
	{ "symlink", "[TARGET PATH]", NULL, do_symlink },
	{ "symlinkat", "", prepare_dirfd_only, do_symlinkat },
	{ "truncate", "[PATH]", make_files, do_truncate },
	{ "ftruncate", "", make_files, do_ftruncate },
	{ "chmod", "[PATH]", make_files, do_chmod },
	{ "fchmod", "", make_files, do_fchmod },
	{ "fchmodat", "", prepare_dirfd, do_fchmodat },
	{ "fchmodat2", "", make_files, do_fchmodat2 },
	{ "chown", "[UID GID]", make_files, do_chown },
	{ "lchown", "[UID GID]", make_files, do_lchown },
	{ "fchown", "[UID GID]", make_files, do_fchown },
	{ "fchownat", "[UID GID]", prepare_dirfd, do_fchownat },
	{ 0 },
};
