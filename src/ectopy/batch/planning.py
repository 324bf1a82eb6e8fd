"""What is to be scored and how."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ectopy.batch.pseudonyms import Pseudonyms
from ectopy.batch.results import earlier_rows
from ectopy.readers.discovery import FoundRecordings, find_recordings

if TYPE_CHECKING:
    from ectopy.model.classifier import Classifier


_LONGEST_NAME = 100


class NothingToScoreError(ValueError):
    """A search that found no recording."""


@dataclass(frozen=True)
class ScoreOptions:
    """With which model; which leads (none: the analysis chooses); which rate in Hz where a file has none.

    ``force`` does again what is done; ``fhir`` writes ``fhir.json`` too, ``pdf`` the report as PDF. With
    ``pseudonyms`` nothing that is written or said names a file.
    """

    model: Path
    leads: tuple[str, ...] = ()
    fs: float | None = None
    force: bool = False
    fhir: bool = False
    pdf: bool = False
    pseudonyms: Pseudonyms | None = None

    @property
    def settings(self) -> dict[str, object]:
        """What else than the model decides a result."""
        return {"leads": list(self.leads), "fs_hz": self.fs}


@dataclass(frozen=True)
class Job:
    """One recording to score into ``out / name``; unlike a recording it can go to another process.

    ``address`` is where one lies that must be fetched before it can be read.
    """

    source: Path
    name: str
    out: Path
    how: ScoreOptions
    address: str = ""

    @property
    def path(self) -> str:
        """Where the recording is: a file, or an address."""
        return printable(self.address or self.source)

    @property
    def shown(self) -> str:
        """What outputs say of where the source lies."""
        return display_name(self.path, self.how)


def search(paths: Sequence[str], out: Path, fs: float | None = None) -> FoundRecordings:
    """Find the recordings that are named, outside of where results go; at least one."""
    found = find_recordings(paths, outside=out.absolute(), fs=fs)
    if not found.recordings:
        raise NothingToScoreError(f"{', '.join(paths)}: no recording found in {found.n_other} files")
    return found


def find_model(model: str | None, data_dir: Path) -> Path:
    """Resolve ``--model``: a directory, a registry address; by default the champion, else what is shipped."""
    if model is None:
        from ectopy.model.classifier import SHIPPED_MODEL

        champion = data_dir / "models" / "champion"
        return champion if champion.is_dir() else SHIPPED_MODEL
    if model.startswith("models:/"):
        from ectopy.registry.model_versions import download_model
        from ectopy.settings import load_settings

        return download_model(model, load_settings().tracking_uri)
    if not Path(model).is_dir():
        raise FileNotFoundError(f"{model}: a model directory expected, none there")
    return Path(model)


def model_source(model: Path) -> str:
    """Say where a model comes from: shipped with the package, promoted here, or given."""
    from ectopy.model.classifier import SHIPPED_MODEL

    if model == SHIPPED_MODEL:
        return "shipped"
    return "champion" if model.parts[-2:] == ("models", "champion") else "given"


def load_model(model: Path) -> "Classifier":
    """Load a model, once a process; anew where another has taken its place."""
    from ectopy.model.classifier import classifier_in

    return classifier_in(model)


def plan(recordings: Iterable[Path | str], out: Path, how: ScoreOptions) -> list[Job]:
    """Give each recording its name in ``out``: the one it had before, or one that nobody has.

    What is no path is an address.
    """
    earlier = earlier_rows(out)
    known = {row["path"]: str(row["recording"]) for row in earlier}
    taken = {str(row["recording"]).casefold() for row in earlier} | {
        entry.name.casefold() for entry in out.iterdir()
    }
    jobs = []
    for source in recordings:
        address = source if isinstance(source, str) else ""
        stem = display_name(Path(source).stem, how)
        name = known.get(display_name(printable(source), how)) or _free_name(stem, taken)
        taken.add(name.casefold())
        jobs.append(Job(Path(source), name, out, how, address))
    return jobs


def _free_name(stem: str, taken: set[str]) -> str:
    """Make a name by WFDB's rule, numbered where it is taken; case tells no two folders apart everywhere."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:_LONGEST_NAME]
    number = 1
    while (free := name if number == 1 else f"{name}-{number}").casefold() in taken:
        number += 1
    return free


def display_name(name: str, how: ScoreOptions) -> str:
    """Give what outputs call a recording, or say of where it lies."""
    return how.pseudonyms.of(name) if how.pseudonyms else name


def printable(text: str | Path) -> str:
    """Escape what no text file can hold: the bytes of a file name that is no Unicode."""
    return str(text).encode(errors="backslashreplace").decode()
