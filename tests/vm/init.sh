#!/bin/busybox sh
# First process of a guest: reach the host's root, put memory over it, and make
# that the real root. A chroot would not do: the kernel programs walk paths to
# the root of all mounts.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
	insmod "$module" || echo "guest: cannot load $module"
done
mount -t virtiofs -o ro host /lower &&
	mount -t tmpfs -o size=75% memory /memory &&
	mkdir /memory/upper /memory/work &&
	mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work overlay /root ||
	{ echo "guest: cannot mount the root"; poweroff -f; }

mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o ptmxmode=666,mode=620,gid=5 devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t tmpfs tmpfs /root/run
mkdir /memory/tmp && mount --bind /root/tmp /memory/tmp
mount -t tmpfs tmpfs /root/tmp
chmod 1777 /root/dev/shm /root/tmp
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mount -t bpf bpf /root/sys/fs/bpf
mount -t tracefs tracefs /root/sys/kernel/tracing
mount -t securityfs securityfs /root/sys/kernel/security
ln -sf /proc/self/fd /root/dev/fd
ip link set lo up
hostname guest

# A checkout below /tmp is still wanted there.
checkout=$(cat /checkout)
case $checkout in
/tmp/*) mkdir -p "/root$checkout" && mount --bind "/memory/${checkout#/}" "/root$checkout" ;;
esac

# What is left of the initramfs after switch_root deletes it.
mkdir /root/run/guest
cp /bin/busybox /main.sh /command.sh /root/run/guest
umount /proc /sys /dev
exec switch_root /root /bin/bash /run/guest/main.sh
