"""The matrix of guests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".vm"  # packages, unpacked kernels, consoles; ignored by git

# Everything of Debian's default list but bpf: what Ubuntu and hosted CI machines boot with.
WITHOUT_BPF_LSM = "lsm=landlock,lockdown,yama,apparmor"


@dataclass(frozen=True, slots=True)
class Guest:
    """One kernel to run under."""

    name: str
    package: str  # pattern of the Debian package; the newest that fits is taken
    append: str = ""  # more kernel command line
    default: bool = False  # booted when no guest is named


GUESTS = (
    Guest("6.1", "linux-image-6.1.0-*-cloud-amd64", default=True),
    Guest("6.12", "linux-image-6.12.*+deb12-cloud-amd64", default=True),
    Guest("6.1-no-lsm", "linux-image-6.1.0-*-cloud-amd64", WITHOUT_BPF_LSM),
    Guest("6.12-no-lsm", "linux-image-6.12.*+deb12-cloud-amd64", WITHOUT_BPF_LSM),
)
MEMORY = "2G"
CPUS = 2
BOOT_SECONDS = 60  # from start to the command's first output, or the guest has hung
