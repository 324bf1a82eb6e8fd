"""Compile ``ectopy.compiled`` while ectopy is installed; without a C compiler, ectopy runs in numpy alone."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("src/ectopy/compiled")
# No fused multiplication and addition: the results are those of numpy.
FLAGS = ["-O3", "-std=c99", "-ffp-contract=off", "-fvisibility=hidden", "-shared", "-fPIC"]


class CompileKernels(BuildHookInterface[Any]):
    """Put the library into a wheel, or beside the source of an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        """Compile, and name the platform in the wheel if that worked."""
        if self.target_name != "wheel":
            return
        folder = Path(self.root) / FOLDER
        source = folder / "kernels.c"
        # As ``library_name`` in the package, which cannot be imported yet.
        library = folder / f"kernels-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.so"
        for old in set(folder.glob("kernels-*.so")) - {library}:
            old.unlink()
        for compiler in _compilers():
            # Renamed when complete: another process may be looking for it.
            partial = library.with_suffix(f".{os.getpid()}.tmp")
            command = [*compiler, *FLAGS, str(source), "-o", str(partial), "-lm"]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                partial.replace(library)
                break
        if library.is_file():  # perhaps one that was compiled elsewhere, as in deploy/Dockerfile
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data |= {"pure_python": False, "tag": f"py3-none-{platform}"}
            build_data["artifacts"].append(str(library.relative_to(self.root)))
        else:
            print("No C compiler: ectopy gives the same results, more slowly.", file=sys.stderr)


def _compilers() -> list[list[str]]:
    """Return the commands of the C compilers that may be there, the one of Python first."""
    wanted = [os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"]
    commands = [shlex.split(command) for command in wanted if command]
    return [command for command in commands if shutil.which(command[0])]
