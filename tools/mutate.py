"""Measure how many small errors the tests notice.

Usage: ``uv run python tools/mutate.py MODULE... [--n 60] [--seed 0] [--workers 1]``

MODULE is a Python file of ``src/ectopy``, or a package directory. The script draws ``--n`` random mutants
from the syntax tree. A mutant changes one expression: a comparison, an operator, a number, a truth value, a
bound of a slice, a default or a returned value. Docstrings, annotations, decorators, log messages and error
messages stay as they are. Mutants are written into a copy of the project in a temporary folder, and the tests
run there. The working tree is never touched.

A mutant is killed if a test fails or the tests take five times their usual time. mypy is not run: it would
kill some mutants, but the target is about tests. The script prints one line for each mutant, the change of
each survivor, and the total. It exits with 0, as it measures and does not judge.

How to judge a survivor
-----------------------
1. If a user could see the difference, write a test with a number that has a reason, and run again.
2. If no input gives another result, the mutant is equivalent: add it to ``EQUIVALENT`` with the reason. The
   key is the file and the changed line, so that the entry goes stale as soon as the line is edited.
3. If only speed, memory or the choice of an exception's type differs, it is equivalent too.

Equivalent mutants are not run, and they do not count in the total. The target is 90 % of the others in every
core module, and 97 % in ``ec57/``. The tests see ``ECTOPY_SOURCE``; without it those marked ``real`` skip.
"""

import argparse
import ast
import copy
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MAX_WORKERS = 2
MIN_TIMEOUT_S = 20.0
TIMEOUT_FACTOR = 5

# The test files of each module or package, relative to src/ectopy; the longest key that fits counts. Files
# come in the order in which they run: the quick ones, and those that fail most often, first.
TESTS: Mapping[str, tuple[str, ...]] = {
    "ec57": (
        "test_ec57_step_by_step",
        "test_ec57",
        "test_ec57_runs",
        "test_ec57_episodes",
        "test_ec57_summary",
        "test_ec57_lines",
        "test_ec57_records",
        "test_ec57_golden",
    ),
    "ec57/lines": ("test_ec57_lines", "test_ec57_records", "test_ec57_golden"),
    "ec57/report": ("test_ec57_lines", "test_ec57_records"),
    "ec57/files": ("test_ec57_records",),
    "features": ("test_features_values", "test_features", "test_morphology", "test_plain"),
    "beats": (
        "test_beats_values",
        "test_windows",
        "test_lead_selection",
        "test_qrs",
        "test_quality",
        "test_detection",
        "test_noise_recognition",
        "test_pipeline",
    ),
    "signal": ("test_signal_values", "test_rolling", "test_filters", "test_quality", "test_noise"),
    "rhythm": (
        "test_rhythm",
        "test_kinds",
        "test_r_on_t",
        "test_hrv",
        "test_findings",
        "test_statistics",
        "test_report_files",
        "test_atrial_fibrillation",
    ),
    "rhythm/finders": ("test_rhythm_values", "test_rhythm", "test_kinds", "test_r_on_t"),
    "batch": (
        "test_batch_values",
        "test_pseudonyms",
        "test_inbox",
        "test_places",
        "test_score",
        "test_security",
    ),
    "readers/edf": (
        "test_edf_values",
        "test_readers_edf",
        "test_readers",
        "test_readers_formats",
        "test_readers_fuzz",
    ),
}


class Equivalent(NamedTuple):
    """A mutant that no test can kill."""

    file: str
    line: str
    reason: str


# Judged by a person, as the docstring above describes; ``line`` is the mutated line without its indent.
EQUIVALENT: tuple[Equivalent, ...] = (
    Equivalent(
        "src/ectopy/ec57/beats.py",
        "_MATCH, _EXTRA, _MISSED = (-1), 1, 2",
        "the three kinds of steps only have to differ",
    ),
    Equivalent(
        "src/ectopy/ec57/beats.py",
        "_MATCH, _EXTRA, _MISSED = 0, 1, (3)",
        "the three kinds of steps only have to differ",
    ),
    Equivalent(
        "src/ectopy/ec57/beats.py",
        "_MATCH, _EXTRA, _MISSED = 0, 1, (4)",
        "the three kinds of steps only have to differ",
    ),
    Equivalent(
        "src/ectopy/ec57/beats.py",
        "return np.array(steps, dtype=np.intp).reshape(-(2), 3), j",
        "numpy takes any negative length for the one to be computed",
    ),
    Equivalent(
        "src/ectopy/ec57/beats.py",
        "until = (n_samples, n_samples) if n_samples else (NEVER - (2), -1)  # -1: test beats do not matter",
        "no beat is at these times",
    ),
    Equivalent(
        "src/ectopy/ec57/beats.py",
        "until = (n_samples, n_samples) if n_samples else (NEVER - 1, -(2))  # -1: test beats do not matter",
        "no beat has a negative time",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "NEVER = np.iinfo(np.int64).max // (3)",
        "any time beyond all files, as long as differences do not overflow",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "NEVER = np.iinfo(np.int64).max // (5)",
        "any time beyond all files, as long as differences do not overflow",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "NEVER = np.iinfo(np.int64).max // (8)",
        "any time beyond all files, as long as differences do not overflow",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "return np.concatenate(([0], np.searchsorted(self.mark[:], marks), [n, n]))",
        "the last mark is NEVER, after all others",
    ),
    Equivalent(
        "src/ectopy/ec57/files.py",
        "_HEAD = (255)  # number of bytes at the start of a file in which the resolution is, if it is given",
        "the note is the first mark of a file and far shorter",
    ),
    Equivalent(
        "src/ectopy/ec57/files.py",
        "_HEAD = (257)  # number of bytes at the start of a file in which the resolution is, if it is given",
        "the note is the first mark of a file and far shorter",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "return Intervals(*np.array([*intervals, _Interval(NEVER, NEVER, -1, (1))], dtype=np.int64).T)",
        "it starts NEVER, so nothing is in it, and its length is not summed",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "return Intervals(*np.array([*intervals, _Interval(NEVER, NEVER, -1, (-1))], dtype=np.int64).T)",
        "it starts NEVER, so nothing is in it, and its length is not summed",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "return Intervals(*np.array([*intervals, _Interval(NEVER, NEVER, -(2), 0)], dtype=np.int64).T)",
        "it starts NEVER, so nothing is in it, and its length is not summed",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "return Intervals(*np.array([*intervals, _Interval(NEVER, NEVER, -(0), 0)], dtype=np.int64).T)",
        "it starts NEVER, so nothing is in it, and its length is not summed",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "return Intervals(*np.array([*intervals, _Interval(NEVER, NEVER, (1), 0)], dtype=np.int64).T)",
        "it starts NEVER, so nothing is in it, and its length is not summed",
    ),
    Equivalent(
        "src/ectopy/signal/filters.py",
        "_FFT_SIZE = (8192)  # five times the taps of the band-pass filter, and small enough for the cache",
        "any size above the taps gives the same samples",
    ),
    Equivalent(
        "src/ectopy/signal/filters.py",
        "_FFT_SIZE = (4095)  # five times the taps of the band-pass filter, and small enough for the cache",
        "any size above the taps gives the same samples",
    ),
    Equivalent(
        "src/ectopy/signal/filters.py",
        "_FFT_SIZE = (4097)  # five times the taps of the band-pass filter, and small enough for the cache",
        "any size above the taps gives the same samples",
    ),
    Equivalent(
        "src/ectopy/signal/filters.py",
        "_PIECE = (63)  # least number of output samples per piece: about as many as the overlapping taps",
        "pieces of any size give the same samples",
    ),
    Equivalent(
        "src/ectopy/signal/filters.py",
        "_PIECE = (65)  # least number of output samples per piece: about as many as the overlapping taps",
        "pieces of any size give the same samples",
    ),
    Equivalent(
        "src/ectopy/signal/filters.py",
        "_PIECE = (128)  # least number of output samples per piece: about as many as the overlapping taps",
        "pieces of any size give the same samples",
    ),
    Equivalent(
        "src/ectopy/signal/rolling.py",
        "if (size < _WORTH_SORTING):",
        "both ways give the same values; only the time differs",
    ),
    Equivalent(
        "src/ectopy/signal/rolling.py",
        "if (size >= _WORTH_SORTING):",
        "both ways give the same values; only the time differs",
    ),
    Equivalent(
        "src/ectopy/rhythm/finders.py",
        "stop = np.flatnonzero(mask & ~np.append(linked, False)[:]) + 1",
        "the slice matters for no beats only, where broadcasting does the same",
    ),
    Equivalent(
        "src/ectopy/rhythm/finders.py",
        "start = np.flatnonzero(mask & ~np.append(False, linked)[:])",
        "the slice matters for no beats only, where broadcasting does the same",
    ),
    Equivalent(
        "src/ectopy/ec57/marks.py",
        "return np.concatenate(([(-1)], np.searchsorted(self.mark[:n], marks), [n, n]))",
        "-1 intervals read are as none",
    ),
    Equivalent(
        "src/ectopy/ec57/runs.py",
        "return (runs if beyond_end else [*runs, run]), -(0)",
        "the first mark of a file, read twice, has no effect after the learning period",
    ),
    Equivalent(
        "src/ectopy/rhythm/finders.py",
        "length = np.diff(spans)[:, (-1)]",
        "the difference of two columns has one column",
    ),
    Equivalent(
        "src/ectopy/rhythm/heart_rate.py",
        "if (len(beats) >= RATE_INTERVALS):",
        "with as many beats as intervals there is no beat to assign a rate to",
    ),
    Equivalent(
        "src/ectopy/rhythm/wording.py",
        "taken_s = sum(analysis.readable_s(onset, offset) for onset, offset in spans if (offset >= onset))",
        "an empty span has no readable time",
    ),
    Equivalent(
        "src/ectopy/rhythm/atrial_fibrillation.py",
        "match = (np.abs(log_rr[lag:] - log_rr[:-lag]) <= TOLERANCE)",
        "no two intervals of whole samples have this ratio, which is not rational",
    ),
    Equivalent(
        "src/ectopy/rhythm/events.py",
        "spans = np.asarray(af, dtype=np.intp).reshape(-(2), 2)",
        "numpy takes any negative length for the one to be computed",
    ),
    Equivalent(
        "src/ectopy/beats/detection.py",
        "for start in range(0, max(n_samples, (2)), step):",
        "a block has two samples or more",
    ),
    Equivalent(
        "src/ectopy/beats/detection.py",
        "raw = np.full(((2), len(columns)), np.nan, dtype=np.float32)",
        "these samples lie outside the core of the block",
    ),
    Equivalent(
        "src/ectopy/beats/detection.py",
        "BLOCK_S = (1200.0)",
        "blocks of any size give the same beats; only memory and time differ",
    ),
    Equivalent(
        "src/ectopy/beats/detection.py",
        "readable[:, :] &= ~signal_to_noise.noisy_leads(sqi)",
        "without a second lead, the second column is False anyway",
    ),
    Equivalent(
        "src/ectopy/model/classifier.py",
        "BATCH_CHUNKS = (7)",
        "any number of chunks gives the same output; only memory and time differ",
    ),
    Equivalent(
        "src/ectopy/model/classifier.py",
        "y = np.empty((starts[-1] + len(outputs[-(0)]), outputs[-1].shape[1]), dtype=np.float32)",
        "all chunks of a sequence have the same length",
    ),
    Equivalent(
        "src/ectopy/model/classifier.py",
        "name = self._session.get_inputs()[(-1)].name",
        "the network has one input",
    ),
)

_COMPARISONS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPERATORS: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_OPPOSITES = (
    ("min", "max"),
    ("argmin", "argmax"),
    ("minimum", "maximum"),
    ("nanmin", "nanmax"),
    ("any", "all"),
    ("floor", "ceil"),
)
_SWAPPED = dict(_OPPOSITES) | {right: left for left, right in _OPPOSITES}
_LOG_METHODS = {"debug", "info", "warning", "error", "exception"}
_TYPE_NAMES = {"Literal", "NDArray", "Mapping", "Callable", "TypeVar", "NewType", "cast"}

_OUTPUT = "mutate-output.txt"
# Each mutant is tested in a fork of this process, which has imported these: that takes most of a short test.
_LIBRARIES = (
    "numpy",
    "scipy.signal",
    "scipy.ndimage",
    "pandas",
    "wfdb",
    "hypothesis",
    "pytest",
    "_pytest.assertion",
)

# A test with hypothesis draws the same examples every time, and a failure is not made smaller: that is slow.
_HYPOTHESIS_PROFILE = """
from hypothesis import Phase, settings

settings.register_profile(
    "mutate", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate), deadline=None
)
"""


class Mutant(NamedTuple):
    """One change of a source file; ``start`` and ``stop`` are positions in its UTF-8 bytes."""

    file: str
    line: int
    start: int
    stop: int
    text: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


class Outcome(NamedTuple):
    """What the tests said of a mutant."""

    mutant: Mutant
    killed: bool
    by: str


def mutants_of(tree: Path, file: str) -> list[Mutant]:
    """Return every mutant of a file that can be compiled.

    Parameters
    ----------
    tree
        Root of a copy of the project.
    file
        Path of the file, relative to the root.

    Returns
    -------
    The mutants in the order of their lines.
    """
    source = (tree / file).read_bytes()
    lines = source.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    mutants = set()
    for node, text in _changes(ast.parse(source)):
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        start, stop = starts[first] + node.col_offset, starts[last - 1] + (node.end_col_offset or 0)
        changed = source[:start] + text.encode() + source[stop:]
        if _compiles(changed):
            n_added = len(changed.splitlines()) - len(lines) + last - first
            removed, added = _stripped(lines[first:last]), _stripped(changed.splitlines()[first:][:n_added])
            mutants.add(Mutant(file, node.lineno, start, stop, text, removed, added))
    return sorted(mutants)


def _stripped(lines: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(line.decode().strip() for line in lines)


def _compiles(source: bytes) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


Located = ast.expr | ast.stmt
Change = tuple[Located, str]


def _changes(node: ast.AST) -> Iterator[Change]:
    """Return what can be replaced in a tree, and by what."""
    yield from _changes_of_node(node)
    for child in _mutable_children(node):
        yield from _changes(child)


def _mutable_children(node: ast.AST) -> Iterator[ast.AST]:
    """Return the parts of a node that run and that are no messages."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert) or _is_log_call(node) or _is_type(node):
        return
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list"}:
            continue
        children = value if isinstance(value, list) else [value]
        yield from (child for child in children if isinstance(child, ast.AST))


def _is_log_call(node: ast.AST) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    return isinstance(function, ast.Attribute) and function.attr in _LOG_METHODS


def _is_type(node: ast.AST) -> bool:
    """Return whether a node is a type and not a value: ``NDArray[...]``, a TypeAlias, ``cast``."""
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.annotation) == "TypeAlias"
    name = node.value if isinstance(node, ast.Subscript) else getattr(node, "func", None)
    return isinstance(name, ast.Name) and name.id in _TYPE_NAMES


def _changes_of_node(node: ast.AST) -> Iterator[Change]:  # noqa: C901 - one branch for each kind
    """Return the changes of one node, without those of its parts."""
    if isinstance(node, ast.Compare):
        yield from _changed_comparison(node)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield node, f"({ast.unparse(ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right))})"
    elif isinstance(node, ast.AugAssign) and type(node.op) in _OPERATORS:
        swapped = copy.deepcopy(node)
        swapped.op = _OPERATORS[type(node.op)]()
        yield node, ast.unparse(swapped)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield node, f"({ast.unparse(ast.BoolOp(other(), node.values))})"
    elif isinstance(node, ast.UnaryOp):
        yield node, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant):
        yield from _changed_constant(node)
    elif isinstance(node, ast.Name | ast.Attribute):
        yield from _swapped_name(node)
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield node, "return None"
    elif isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Compare):
        yield node.test, f"(not ({ast.unparse(node.test)}))"
    elif isinstance(node, ast.Slice):
        yield from _open_slice(node)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _changed_comparison(node: ast.Compare) -> Iterator[Change]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            changed = copy.deepcopy(node)
            changed.ops[index] = other()
            yield node, f"({ast.unparse(changed)})"


def _changed_constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield node, str(not value)
    elif isinstance(value, int | float):
        for other in dict.fromkeys((value + 1, value - 1, value * 2)):
            if other != value:
                yield node, f"({other!r})"


def _swapped_name(node: ast.Name | ast.Attribute) -> Iterator[Change]:
    if isinstance(node, ast.Name) and node.id in _SWAPPED:
        yield node, _SWAPPED[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in _SWAPPED:
        yield node, f"{ast.unparse(node.value)}.{_SWAPPED[node.attr]}"


def _open_slice(node: ast.Slice) -> Iterator[Change]:
    for bound in ("lower", "upper"):
        if getattr(node, bound) is not None:
            changed = copy.deepcopy(node)
            setattr(changed, bound, None)
            yield node, ast.unparse(changed)


def equivalent(mutant: Mutant) -> Equivalent | None:
    """Return the entry of EQUIVALENT for a mutant, if it has one."""
    added = " ".join(mutant.added)
    return next((entry for entry in EQUIVALENT if (entry.file, entry.line) == (mutant.file, added)), None)


def tests_of(tree: Path, file: str) -> tuple[str, ...]:
    """Return the test files of a module: those of TESTS, else those that are named after it.

    Parameters
    ----------
    tree
        Root of a copy of the project.
    file
        Path of the module, relative to the root.

    Returns
    -------
    Paths of the test files that exist, relative to the root.
    """
    module = file.removeprefix("src/ectopy/").removesuffix(".py")
    keys = [key for key in TESTS if module == key or module.startswith(f"{key}/")]
    names = TESTS[max(keys, key=len)] if keys else ()
    own_first = sorted(names, key=lambda test: Path(module).name not in test)
    paths = [tree / "tests" / f"{test}.py" for test in own_first]
    paths = paths or sorted((tree / "tests").glob(f"test_*{Path(module).name}*.py"))
    existing = [path.relative_to(tree).as_posix() for path in paths if path.is_file()]
    if not existing:
        raise SystemExit(f"{file}: no test file found. Add the module to TESTS in tools/mutate.py.")
    return tuple(existing)


def copy_tree(folder: Path) -> Path:
    """Copy what git tracks, or would track, into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - found on the PATH
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "tests" / "mutate_profile.py").write_text(_HYPOTHESIS_PROFILE)
    return folder


def run_tests(tree: Path, tests: Sequence[str], timeout_s: float) -> tuple[bool, str]:
    """Run test files in a copied tree until one fails; a process for each, as most mutants die in the first.

    Parameters
    ----------
    tree
        Root of the copy.
    tests
        Paths of the test files, relative to the root.
    timeout_s
        Wall time after which the tests of a file are stopped, in seconds.

    Returns
    -------
    Whether all passed, and the name of the test that failed.
    """
    for test in tests:
        passed, reason = _run_test_file(tree, test, timeout_s)
        if not passed:
            return False, reason
    return True, ""


def _run_test_file(tree: Path, test: str, timeout_s: float) -> tuple[bool, str]:
    process = multiprocessing.get_context("fork").Process(target=_pytest, args=(tree, test))
    process.start()
    process.join(timeout_s)
    if process.is_alive():
        with suppress(ProcessLookupError):  # it may just have ended
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return False, f"timeout of {test}"
    output = (tree / _OUTPUT).read_text()
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    reason = failed[0].split(" - ")[0] if failed else output.strip()[-300:]
    return process.exitcode == 0, reason


def _pytest(tree: Path, test: str) -> None:
    """Run a test file in this process, a fork in which the libraries are imported already."""
    import pytest

    os.setsid()
    os.chdir(tree)
    with (tree / _OUTPUT).open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.path[:] = [str(tree / "src"), str(tree), *(path for path in sys.path if path != str(ROOT / "src"))]
    os.environ["PYTHONPATH"] = f"{tree / 'src'}{os.pathsep}{tree}"
    command = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "-p", "tests.mutate_profile"]
    command += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is imported already
    status = pytest.main([*command, "--hypothesis-profile=mutate", "--tb=no", test])
    sys.stdout.flush()
    os._exit(int(status))


def judge(trees: SimpleQueue[Path], mutant: Mutant, timeout_s: float) -> Outcome:
    """Run the tests of a mutant in a tree that no other worker uses.

    Parameters
    ----------
    trees
        The copies that are free.
    mutant
        The change to try.
    timeout_s
        Wall time after which the tests are stopped, in seconds.

    Returns
    -------
    Whether a test noticed the change.
    """
    tree = trees.get()
    path = tree / mutant.file
    original = path.read_bytes()
    try:
        path.write_bytes(original[: mutant.start] + mutant.text.encode() + original[mutant.stop :])
        passed, by = run_tests(tree, tests_of(tree, mutant.file), timeout_s)
    finally:
        path.write_bytes(original)
        trees.put(tree)
    return Outcome(mutant, not passed, by)


def draw(tree: Path, files: Sequence[str], n: int, seed: int) -> list[Mutant]:
    """Draw random mutants.

    Parameters
    ----------
    tree
        Root of a copy of the project.
    files
        Files to change, relative to the root.
    n
        Number of mutants, or all if there are fewer.
    seed
        Seed of the draw.

    Returns
    -------
    The mutants in the order of their lines.
    """
    every = [mutant for file in files for mutant in mutants_of(tree, file)]
    return sorted(random.Random(seed).sample(every, min(n, len(every))))  # noqa: S311 - no secret


def show(outcome: Outcome) -> None:
    """Print one line for a mutant, and the change of a survivor."""
    mutant = outcome.mutant
    if outcome.killed:
        print(f"killed   {mutant.file}:{mutant.line}  {outcome.by}", flush=True)
        return
    print(f"SURVIVED {mutant.file}:{mutant.line}")
    print(*(f"    - {line}" for line in mutant.removed), sep="\n")
    print(*(f"    + {line}" for line in mutant.added), sep="\n", flush=True)


def main() -> int:
    """Draw mutants, run the tests on each, and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("module", type=Path, nargs="+", help="file or package below src/ectopy")
    parser.add_argument("--n", type=int, default=60, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--workers", type=int, default=1, choices=range(1, MAX_WORKERS + 1))
    options = parser.parse_args()
    paths = [path.resolve() for path in options.module]
    found = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    files = [file.relative_to(ROOT).as_posix() for file in found]
    for library in _LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory(prefix="ectopy-mutants-") as folder:
        trees = [copy_tree(Path(folder) / str(worker)) for worker in range(options.workers)]
        drawn = draw(trees[0], files, options.n, options.seed)
        mutants = [mutant for mutant in drawn if not equivalent(mutant)]
        killed = sum(run_all(trees, mutants))
    share = f"{100 * killed / len(mutants):.1f} %" if mutants else "-"
    print(f"{killed} of {len(mutants)} killed ({share}); {len(drawn) - len(mutants)} more are equivalent")
    return 0


def run_all(trees: Sequence[Path], mutants: Sequence[Mutant]) -> Iterator[bool]:
    """Run and print every mutant, as many at once as there are trees.

    Parameters
    ----------
    trees
        Copies of the project.
    mutants
        The changes to try.

    Yields
    ------
    Whether the mutant was killed.
    """
    groups = {mutant.file: tests_of(trees[0], mutant.file) for mutant in mutants}
    limits = {tests: time_limit(trees[0], tests) for tests in sorted(set(groups.values()))}
    free: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        free.put(tree)
    with ThreadPoolExecutor(len(trees)) as pool:
        for outcome in pool.map(lambda mutant: judge(free, mutant, limits[groups[mutant.file]]), mutants):
            show(outcome)
            yield outcome.killed


def time_limit(tree: Path, tests: tuple[str, ...]) -> float:
    """Run tests without a mutant, which must pass.

    Parameters
    ----------
    tree
        Root of a copy of the project.
    tests
        Paths of the test files, relative to the root.

    Returns
    -------
    Time to allow with a mutant, in seconds.
    """
    start = time.monotonic()
    passed, by = run_tests(tree, tests, timeout_s=1800)
    if not passed:
        raise SystemExit(f"{' '.join(tests)}: the tests fail without a mutant ({by}). Repair them first.")
    return max(MIN_TIMEOUT_S, TIMEOUT_FACTOR * (time.monotonic() - start))


if __name__ == "__main__":
    sys.exit(main())
