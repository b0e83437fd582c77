"""Runs a command, as a rule a pytest selection, under other kernels.

A *guest* is a kernel package of Debian and a kernel command line, booted under
QEMU. It has the host's user space: its root is an overlay of memory over the
host's root, shared read-only by virtiofs, so the command finds the same paths,
the same Python and the same tree, and leaves nothing behind. An *initramfs*
holds busybox, the modules that reach that root, and the init script.
"""
