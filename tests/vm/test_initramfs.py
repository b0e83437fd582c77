"""The guest's first file system, without a guest."""

import lzma

from tests.vm import initramfs
from tests.vm.kernels import Kernel, version


def module(*depends):
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0name=x\0"


def test_modules_come_after_what_they_depend_on(tmp_path):
    """From the package's files alone, plain or xz, with - and _ the same."""
    (tmp_path / "virtiofs.ko").write_bytes(module("fuse", "virtio"))
    (tmp_path / "fuse.ko.xz").write_bytes(lzma.compress(module()))
    (tmp_path / "virtio.ko").write_bytes(module("virtio-ring"))
    (tmp_path / "virtio_ring.ko").write_bytes(module())
    kernel = Kernel("6.1", tmp_path / "vmlinuz", tmp_path)

    names = [name for name, _ in initramfs.load_order(kernel)]

    assert ["fuse", "virtio_ring", "virtio", "virtiofs"] == names


def test_an_archive_entry_is_newc_and_aligned():
    archive = initramfs.Archive()
    archive.add("init", 0o100755, b"#!sh\n")
    data = archive.finish()

    assert data.startswith(b"070701")
    assert int(data[14:22], 16) == 0o100755
    assert data[110:115] == b"init\0"
    assert data[116:121] == b"#!sh\n"
    assert data[124:130] == b"070701"
    assert len(data) % 4 == 0


def test_the_newest_package_is_the_one_with_the_highest_numbers():
    names = ["linux-image-6.12.9+deb12-cloud-amd64", "linux-image-6.12.117+deb12-cloud-amd64"]

    assert max(names, key=version) == names[1]
