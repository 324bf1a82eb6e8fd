"""The manifest of a model directory: the SHA-256 of each of its files, checked whenever the model is read.

It shows damage, half copies and changes by hand. It is no signature: whoever can write the folder can write
the manifest too.
"""

import hashlib
import json
import os
from pathlib import Path

MANIFEST_FILE = "manifest.json"

_RESTORE = "Restore the original folder: install ectopy or promote the model again."


class ManifestError(ValueError):
    """A model directory that is not as its manifest says; the message states the problem and the remedy."""


def write_manifest(folder: Path) -> None:
    """Write the manifest of a model directory, which must be complete; replace one that is there."""
    content = json.dumps({"sha256": _hashes(folder)}, indent=1)
    (folder / MANIFEST_FILE).write_text(f"{content}\n", encoding="utf-8")


def check_manifest(folder: Path, *, required: bool = False) -> None:
    """Check that a model directory has the files of its manifest, unchanged, and no others.

    Parameters
    ----------
    folder
        The model directory.
    required
        Whether a directory without a manifest is refused. Models of ectopy 0.2 have none.

    Raises
    ------
    ManifestError
        If a file is altered, missing or additional, or the manifest is missing or damaged.
    """
    if not os.path.lexists(path := folder / MANIFEST_FILE):
        if required:
            raise ManifestError(f"{folder}: {MANIFEST_FILE} is missing. {_RESTORE}")
        return
    try:
        listed = {str(name): value for name, value in json.loads(_text(path))["sha256"].items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ManifestError(f"{path}: not a manifest of a model. {_RESTORE}") from error
    found = _hashes(folder)
    problems = {
        "altered": [name for name in listed if name in found and found[name] != listed[name]],
        "missing": sorted(listed.keys() - found.keys()),
        "not in the manifest": sorted(found.keys() - listed.keys()),
    }
    if said := "; ".join(f"{', '.join(names)} {problem}" for problem, names in problems.items() if names):
        raise ManifestError(f"{folder}: not as its {MANIFEST_FILE} says: {said}. {_RESTORE}")


def _text(path: Path) -> str:
    """Return the text of a plain file; a folder, a pipe or a dead link has none."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, by its path within, without the manifest's."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    files.pop(MANIFEST_FILE, None)
    return {name: _hash(files[name]) for name in sorted(files)}


def _hash(path: Path) -> str:
    """Return the SHA-256 of a plain file; a pipe would never end, and a dead link has none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
