"""What the command ``ectopy ec57`` does, also as ``python -m ectopy.ec57``, which needs numpy alone."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ectopy.ec57.classes import BeatMap
from ectopy.ec57.disclosure import Compared, database_of, disclosure
from ectopy.ec57.files import NothingToCompareError, compare_directories
from ectopy.ec57.patients import patients_of
from ectopy.ec57.records import RecordComparison
from ectopy.ec57.report import OutputFormat, as_json, text
from ectopy.ec57.results_file import results_csv
from ectopy.ec57.side_by_side import compare_annotators, side_by_side

logger = logging.getLogger(__name__)


class OptionsError(ValueError):
    """Error of options that exclude each other, or of which one needs another."""


@dataclass(frozen=True)
class Comparing:
    """What to compare, what to print and what to write: the options of the command.

    Raises :class:`OptionsError` where one option would leave another without effect, and where the folder of
    a file to write is missing.
    """

    reference: Path
    test: Path
    annotator: str
    reference_annotator: str = "atr"
    records: Sequence[str] | None = None
    beat_map: BeatMap = "ec57"
    output_format: OutputFormat = "table"
    json: Path | None = None
    disclosure: bool = False
    results: Path | None = None
    detector: str = ""
    second: Path | None = None
    second_annotator: str = ""

    def __post_init__(self) -> None:
        more = {"--disclosure": self.disclosure, "--second": self.second or self.second_annotator}
        for option in (name for name, given in more.items() if given and self.output_format != "table"):
            raise OptionsError(
                f"--format {self.output_format} prints the lines of that tool and nothing else. "
                f"Leave it or {option} out."
            )
        if self.detector and not self.results:
            raise OptionsError("--detector is a name in the file of --results. Give both, or neither.")
        for path in filter(None, (self.json, self.results)):  # before the comparison, which takes a while
            if path.parent.is_file():
                raise OptionsError(f"{path}: a file stands where a folder should go. Give another folder.")
            if not path.parent.is_dir():
                raise OptionsError(f"{path}: there is no folder {path.parent}. Make it first.")


def run(comparing: Comparing) -> str:
    """Compare annotations with a reference, write the files that are wanted, and return what to print."""
    first = _compare(comparing, comparing.test, comparing.annotator)
    database = database_of(comparing.reference)
    patients = patients_of(database.partition(" ")[0], first)
    if comparing.json:
        counts = json.dumps(as_json(first, beat_map=comparing.beat_map), indent=1)
        comparing.json.write_text(counts + "\n", encoding="utf-8")
    if comparing.results:
        table = results_csv(
            first,
            patients,
            detector=comparing.detector or comparing.annotator,
            reference=f"{database}, {comparing.reference_annotator}",
            beat_map=comparing.beat_map,
        )
        comparing.results.write_text(table, encoding="utf-8")
    printed = _text(comparing, first).removesuffix("\n")
    if not (comparing.second or comparing.second_annotator):
        return printed
    annotator = comparing.second_annotator or comparing.annotator
    folder = comparing.second or comparing.test
    second = _compare(comparing, folder, annotator)
    if not (common := first.keys() & second.keys()):
        raise NothingToCompareError(
            f"{folder}: no record in common with {comparing.test}. Give two annotators of the same records."
        )
    if len(common) < len(first):
        logger.warning("side by side: the %d records of %d that both have", len(common), len(first))
    names = (comparing.annotator, annotator)
    if names[0] == names[1]:
        names = (comparing.test.name or "first", folder.name or "second")
    return f"{printed}\n\n{side_by_side(compare_annotators(first, second, patients), names)}"


def _text(comparing: Comparing, records: dict[str, RecordComparison]) -> str:
    """Return the comparison with the first annotator in the wanted form."""
    if comparing.disclosure:
        compared = Compared(
            database_of(comparing.reference), comparing.reference_annotator, comparing.annotator
        )
        return disclosure(records, compared, beat_map=comparing.beat_map)
    return text(records, comparing.output_format, beat_map=comparing.beat_map)


def _compare(comparing: Comparing, folder: Path, annotator: str) -> dict[str, RecordComparison]:
    return compare_directories(
        comparing.reference,
        folder,
        annotator,
        reference_annotator=comparing.reference_annotator,
        records=comparing.records,
        beat_map=comparing.beat_map,
    )
