"""Find the original of some results where it lies now: its name may differ, but its content is the same."""

from functools import lru_cache
from glob import escape
from pathlib import Path

from ectopy.batch.provenance import input_sha256


def find_original(folder: Path, named: Path, digest: str) -> Path | None:
    """Find the recording with a given content in a folder and the folders in it.

    Parameters
    ----------
    folder
        The folder of originals.
    named
        Where it was when it was scored. Files of the same name are looked at first, and only those with the
        same suffix, which a pseudonym keeps.
    digest
        Hash of all its files.

    Returns
    -------
    The file to open; None if it is not there.
    """
    files = folder.rglob(f"*{escape(named.suffix)}")
    in_order = sorted(files, key=lambda file: (file.stem != named.stem, file))
    return next((file for file in in_order if _digest(file, file.stat().st_mtime_ns) == digest), None)


@lru_cache(maxsize=4096)
def _digest(file: Path, _changed_ns: int) -> str:
    """Return the hash of a recording, "" if it is none; a changed signal is noticed when it is opened."""
    try:
        return input_sha256(file)
    except (OSError, ValueError):
        return ""
