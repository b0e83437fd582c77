"""Build hook: compiles the kernel programs into the wheel."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileKernelPrograms(BuildHookInterface):  # type: ignore[type-arg]  # generic only in its source
    """Makes ``guard/bpf/guard.bpf.o``, for wheels and for editable installs alike."""

    # Any: hatchling's own type of the build data.
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        compiler = load(Path(self.root) / "guard" / "bpf" / "build.py")
        try:
            if not compiler.is_current():
                compiler.build()
        except compiler.BuildError as error:
            sys.exit(f"error: {error}")
        # The object names the registers of one architecture; no Python ABI is involved.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def load(path: Path) -> ModuleType:
    """The module at `path`, without its package: the dependencies are not installed yet."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
