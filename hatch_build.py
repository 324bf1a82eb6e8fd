"""Compile ``ectopy.compiled`` while ectopy is installed; without a C compiler, ectopy runs in numpy alone."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
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
        self._scratch = TemporaryDirectory()
        folder = Path(self.root) / FOLDER
        library = _compiled(folder / "kernels.c", Path(self._scratch.name)) or _compiled_elsewhere(folder)
        if library is None:
            print("No C compiler worked: ectopy gives the same results, more slowly.", file=sys.stderr)
            return
        place = folder / library.name
        try:
            # Renamed when complete: another process may be looking for it.
            shutil.copy(library, part := place.with_suffix(f".{os.getpid()}.tmp"))
            part.replace(place)
            for old in set(folder.glob("kernels-*.so")) - {place}:
                old.unlink()
            build_data["artifacts"].append(f"{FOLDER.as_posix()}/{library.name}")
        except OSError:  # a source that may only be read
            build_data["force_include"][str(library)] = f"ectopy/compiled/{library.name}"
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data |= {"pure_python": False, "tag": f"py3-none-{platform}"}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what the wheel no longer needs."""
        if self.target_name == "wheel":
            self._scratch.cleanup()


def library_name(source: bytes, library: bytes) -> str:
    """Return the name of a library, as ``ectopy.compiled`` does, which cannot be imported yet."""
    source_sha256, library_sha256 = (hashlib.sha256(part).hexdigest()[:12] for part in (source, library))
    return f"kernels-{source_sha256}-{library_sha256}.so"


def _compiled(source: Path, scratch: Path) -> Path | None:
    """Compile with the first compiler that can; say why others cannot."""
    library = scratch / "kernels.so"
    for compiler in _compilers():
        command = [*compiler, *FLAGS, str(source), "-o", str(library), "-lm"]
        with suppress(OSError):
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if done.returncode == 0 and library.is_file():
                return library.rename(scratch / library_name(source.read_bytes(), library.read_bytes()))
            print(f"{shlex.join(command)}: {done.stderr}", file=sys.stderr)
    return None


def _compiled_elsewhere(folder: Path) -> Path | None:
    """Return a whole library of this source, such as one that deploy/Dockerfile has copied."""
    source = (folder / "kernels.c").read_bytes()
    libraries = folder.glob("kernels-*.so")
    return next((path for path in libraries if path.name == library_name(source, path.read_bytes())), None)


def _compilers() -> list[list[str]]:
    """Return the commands of the C compilers that may be there, the one of Python first."""
    commands = []
    for wanted in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"):
        with suppress(ValueError):  # an unbalanced quotation mark
            command = shlex.split(wanted or "")
            if command and shutil.which(command[0]) and command not in commands:
                commands.append(command)
    return commands
