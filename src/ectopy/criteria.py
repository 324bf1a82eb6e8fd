"""Criteria: the rules that a reader of results may want to change, each with its unit, bounds and default.

They decide what is called a pause, a run or an episode, and what is urgent. They are no part of the
classifier: how beats are found and told apart stays the same, except for ``sv_prematurity_pct``. A study
keeps its criteria in a TOML file, see :meth:`Criteria.read`. Evaluation always uses the defaults.
"""

import json
import tomllib
from dataclasses import Field, asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from textwrap import fill
from typing import Any, Final

Value = float | int | bool

_UNITS = {
    "s": ("s", "seconds"),
    "bpm": ("bpm", "beats per minute"),
    "pct": ("%", "percent"),
    "beats": ("beats", "beats"),
    "cycles": ("cycles", "cycles"),
}
"""Symbol and name of a unit, by the last word of the name of a criterion."""


class CriteriaError(ValueError):
    """Criteria that cannot be used: a name that does not exist, or a value that makes no sense."""


def _limit(default: float, meaning: str, *, lowest: float, highest: float) -> Any:
    return field(default=default, metadata={"meaning": meaning, "lowest": lowest, "highest": highest})


def _choice(default: bool, meaning: str) -> Any:  # noqa: FBT001
    return field(default=default, metadata={"meaning": meaning})


def _bounds(criterion: "Field[Any]") -> str:
    if isinstance(criterion.default, bool):
        return "true or false"
    low, high = criterion.metadata["lowest"], criterion.metadata["highest"]
    return f"{low:g} to {high:g} {_unit(criterion.name)[1]}"


def _checked(criterion: "Field[Any]", value: Any) -> Value:
    """Check the value of a criterion, and return it in the type of its default."""
    kind: Any = type(criterion.default)
    problem = ""
    if kind is bool and not isinstance(value, bool):
        problem = "neither true nor false"
    elif kind is not bool and (isinstance(value, bool) or not isinstance(value, int | float)):
        problem = "not a number"
    elif kind is int and not isinstance(value, int):
        problem = "not a whole number"
    elif kind is not bool and not criterion.metadata["lowest"] <= value <= criterion.metadata["highest"]:
        problem = "out of bounds"
    if problem:
        raise CriteriaError(f"{criterion.name} = {_shown(value)} is {problem}. Give {_bounds(criterion)}.")
    checked: Value = kind(value)
    return checked


def _unit(name: str) -> tuple[str, str]:
    return _UNITS[name.rpartition("_")[2]]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


@dataclass(frozen=True)
class Criteria:
    """The criteria of a study.

    The last word of a name is its unit. :func:`meaning` says what each one decides, and
    ``docs/reference/criteria.md`` lists them. A value out of bounds raises :class:`CriteriaError`.

    Examples
    --------
    >>> Criteria(pause_s=2.5).changed()
    {'pause_s': 2.5}
    """

    pause_s: float = _limit(2.0, "A longer RR interval is a pause.", lowest=0.5, highest=20)
    urgent_pause_s: float = _limit(3.0, "A pause of this length or more is urgent.", lowest=0.5, highest=60)
    no_beat_s: float = _limit(
        10.0,
        "Readable signal of this length without a beat is asystole, fibrillation or lost signal.",
        lowest=2,
        highest=60,
    )
    pauses_beside_ectopic_beats: bool = _choice(
        True,
        "Whether an interval that begins or ends with an ectopic beat can be a pause. "
        "If false, only one between two normal beats can, unless it has the length of `no_beat_s`.",
    )

    vt_bpm: float = _limit(
        100.0,
        "A run of ventricular beats above this rate is ventricular tachycardia (AHA/ACC/HRS 2017), "
        "and at or below it idioventricular rhythm.",
        lowest=60,
        highest=250,
    )
    vt_beats: int = _limit(
        3,
        "Ventricular beats in a row that make ventricular tachycardia. "
        "Fewer, but at least 3, are a short ventricular run.",
        lowest=3,
        highest=100,
    )
    urgent_vt_beats: int = _limit(
        6, "A ventricular tachycardia of this many beats is urgent.", lowest=3, highest=10_000
    )
    sustained_s: float = _limit(
        30.0,
        "A ventricular tachycardia of this length, or a supraventricular run above it, "
        "is sustained, and urgent.",
        lowest=5,
        highest=3600,
    )

    sv_prematurity_pct: float = _limit(
        0.0,
        "A beat that comes less early than this is no supraventricular ectopic beat but normal. "
        "It is a share of the median of the 8 normal RR intervals before. At 0 the classifier decides alone.",
        lowest=0,
        highest=80,
    )
    sv_run_bpm: float = _limit(
        100.0, "Supraventricular ectopic beats in a row above this rate are a run.", lowest=60, highest=250
    )
    sv_run_beats: int = _limit(
        3, "Supraventricular ectopic beats in a row that make a run.", lowest=3, highest=100
    )
    pattern_cycles: int = _limit(
        3, "A pattern such as N-V is bigeminy or trigeminy from this many cycles on.", lowest=2, highest=100
    )

    bradycardia_bpm: float = _limit(
        50.0,
        "A heart rate below this is bradycardia (ACC/AHA/HRS 2018; older texts say 60).",
        lowest=20,
        highest=100,
    )
    bradycardia_s: float = _limit(
        30.0,
        "Shortest bradycardia. In a recording shorter than twice this, half of the recording.",
        lowest=5,
        highest=3600,
    )
    tachycardia_bpm: float = _limit(
        100.0, "A heart rate above this is tachycardia, whatever its origin.", lowest=60, highest=250
    )
    tachycardia_s: float = _limit(
        30.0,
        "Shortest tachycardia. In a recording shorter than twice this, half of the recording.",
        lowest=5,
        highest=3600,
    )
    pauses_in_lowest_rate: bool = _choice(
        True,
        "Whether the lowest and the highest heart rate and their trend include pauses. "
        "If false, they have no value for the 8 RR intervals from a pause on.",
    )

    detect_af: bool = _choice(
        True,
        "Whether atrial fibrillation is looked for. "
        "If false, its irregular beats keep the classes that the classifier gives them.",
    )
    af_s: float = _limit(
        30.0,
        "Shortest atrial fibrillation. In a recording shorter than twice this, half of the recording, "
        "or all of it.",
        lowest=10,
        highest=3600,
    )
    urgent_af_bpm: float = _limit(
        110.0,
        "Atrial fibrillation above this rate is urgent: the limit of lenient rate control (RACE II, 2010).",
        lowest=20,
        highest=300,
    )

    frequent_pct: float = _limit(
        1.0,
        "Ectopic beats below this share of all beats are rare, from it on frequent.",
        lowest=0,
        highest=100,
    )
    very_frequent_pct: float = _limit(
        10.0,
        "Ectopic beats above this share of all beats are very frequent, and important if so many are sure.",
        lowest=0,
        highest=100,
    )
    partly_unreadable_pct: float = _limit(
        5.0, "Unreadable time is a note from this share of the recording on.", lowest=0, highest=100
    )
    mostly_unreadable_pct: float = _limit(
        50.0,
        "Unreadable time is important from this share of a recording of more than 15 min on.",
        lowest=0,
        highest=100,
    )
    sveb_in_hrv: bool = _choice(
        False, "Whether heart rate variability includes supraventricular ectopic beats."
    )

    def __post_init__(self) -> None:
        for criterion in fields(self):
            object.__setattr__(self, criterion.name, _checked(criterion, getattr(self, criterion.name)))
        for lower, higher in _ORDERED:
            if getattr(self, lower) > getattr(self, higher):
                raise CriteriaError(
                    f"{lower} = {getattr(self, lower):g} is above {higher} = {getattr(self, higher):g}. "
                    f"Give {lower} at most the value of {higher}."
                )

    @classmethod
    def read(cls, path: str | Path) -> "Criteria":
        """Read the criteria of a study from a TOML file; those that it leaves out have their defaults.

        Parameters
        ----------
        path
            The file, with one ``name = value`` a line. ``ectopy criteria`` prints one.

        Returns
        -------
        The criteria.

        Raises
        ------
        CriteriaError
            If the file is not TOML, or has a name or a value that cannot be used. The error names the file.
        """
        try:
            return cls(**_known(_toml(Path(path))))
        except CriteriaError as error:
            raise CriteriaError(f"{path}: {error}") from error

    def changed(self) -> dict[str, Value]:
        """Return the criteria that differ from the defaults."""
        default = vars(DEFAULT_CRITERIA)
        return {name: value for name, value in vars(self).items() if value != default[name]}


_ORDERED = (
    ("pause_s", "no_beat_s"),
    ("bradycardia_bpm", "tachycardia_bpm"),
    ("frequent_pct", "very_frequent_pct"),
    ("partly_unreadable_pct", "mostly_unreadable_pct"),
)
DEFAULT_CRITERIA: Final = Criteria()
CRITERIA: Final = {criterion.name: criterion for criterion in fields(Criteria)}


def read_criteria(path: Path | None) -> Criteria:
    """Read the criteria of a study, or return the defaults if there is no file."""
    return DEFAULT_CRITERIA if path is None else Criteria.read(path)


def meaning(name: str) -> str:
    """Return what a criterion decides, as one sentence or more."""
    return str(CRITERIA[name].metadata["meaning"])


def bounds(name: str) -> str:
    """Return the values that a criterion may have, with their unit."""
    return _bounds(CRITERIA[name])


def as_text(criteria: Criteria) -> str:
    """Return the criteria that differ from the defaults, on one line."""
    changed = criteria.changed().items()
    return ", ".join(f"{name} = {toml_value(value)}" for name, value in changed) or "defaults"


def as_toml(criteria: Criteria) -> str:
    """Return criteria as a TOML file, with what each one decides as a comment."""
    head = (
        "# Criteria of ectopy for one study: `ectopy score --criteria FILE`.\n"
        "# A line that is left out has its default.\n"
    )
    return head + "".join(
        f"\n{_comment(meaning(name))}\n# {bounds(name)}, default {toml_value(CRITERIA[name].default)}\n"
        f"{name} = {toml_value(value)}\n"
        for name, value in asdict(criteria).items()
    )


def schema_of_criteria() -> dict[str, Any]:
    """Return the JSON schema of criteria, with the meaning and the unit of each."""
    return {
        "description": "The criteria by which the events were found and called urgent; all of them.",
        "type": "object",
        "properties": {name: _schema(criterion) for name, criterion in CRITERIA.items()},
        "required": list(CRITERIA),
        "additionalProperties": False,
    }


def _schema(criterion: "Field[Any]") -> dict[str, Any]:
    described = {"description": f"{criterion.metadata['meaning']} Values: {_bounds(criterion)}."}
    if isinstance(criterion.default, bool):
        return {**described, "type": "boolean"}
    return {
        **described,
        "unit": _unit(criterion.name)[0],
        "type": "integer" if isinstance(criterion.default, int) else "number",
        "minimum": criterion.metadata["lowest"],
        "maximum": criterion.metadata["highest"],
    }


def _comment(text: str) -> str:
    return fill(text, 100, initial_indent="# ", subsequent_indent="# ")


def toml_value(value: object) -> str:
    """Return a number or a truth value as TOML writes it, which is how JSON does."""
    return json.dumps(value)


def _toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CriteriaError("no such file. Check its path; `ectopy criteria` prints one to begin with.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = str(error)[:1].lower() + str(error)[1:].rstrip(".")
        raise CriteriaError(f"not TOML: {problem}. Give lines such as pause_s = 2.5.") from error
    except UnicodeDecodeError as error:
        raise CriteriaError("not text in UTF-8. Save it as UTF-8.") from error
    except OSError as error:
        raise CriteriaError(f"{(error.strerror or 'unreadable').lower()}. Check the file.") from error


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """Check that every name is that of a criterion."""
    for name in values:
        if name not in CRITERIA:
            near = get_close_matches(name, CRITERIA, n=1, cutoff=0.0)[0]
            raise CriteriaError(
                f"{_shown(name)} is not a criterion. Did you mean {near}? `ectopy criteria` prints all."
            )
    return values
