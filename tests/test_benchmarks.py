"""The scripts in ``benchmarks/`` still fit the program that they measure; no time is asserted."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.readers import open_recording
from tests.conftest import ROOT
from tests.small import write_record

FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
GIVEN = {"median": 0.03, "least": 0.02, "greatest": 0.04}
STAND_IN = """
def {name}(signal, **named):
    with open({calls!r}, "a") as calls:
        print("{name}", len(signal), file=calls)
    return signal
"""


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Path:
    return write_record(tmp_path_factory.mktemp("records"))


def script(name: str) -> dict[str, Any]:
    """Import a benchmark as a script does that lies beside it; return its names."""
    return runpy.run_path(str(FOLDER / f"{name}.py"), run_name=name)


def executable(path: Path, commands: str) -> Path:
    """Write a program for the shell."""
    path.write_text(f"#!/bin/sh\n{commands}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_script_finds_what_it_imports_and_tells_its_options(name, monkeypatch, capsys):
    names = script(name)
    if "options(" not in (FOLDER / f"{name}.py").read_text() or name == "measure":
        return  # its paths are positions, as its first lines say
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        names["main"]()
    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_scoring_measures_each_stage_once_and_puts_the_program_back(record, tmp_path):
    names = script("scoring")
    seconds = names["by_stage"]([record], tmp_path)
    assert set(seconds) == {"read", "other", *names["STAGES"]}
    assert all(spent >= 0 for spent in seconds.values())
    assert names["readers"].open_recording is open_recording
    (summary,) = tmp_path.rglob("summary.json")
    assert summary.parent.name == record.stem


def test_a_record_is_shortened_to_its_first_second_in_its_format(record, tmp_path):
    short = script("scoring")["first_second"](record, tmp_path)
    whole, part = open_recording(record), open_recording(short)
    assert (part.n_samples, part.fs, part.leads) == (250, 250, whole.leads)
    assert np.array_equal(part.read(0, 250), whole.read(0, 250))
    assert " 16 1000" in short.read_text()


def test_all_tools_run_beside_each_other_and_say_what_they_give(record, tmp_path, monkeypatch):
    calls, out = tmp_path / "calls", tmp_path / "out"
    out.mkdir()
    for module, functions in {
        "sleepecg": ["detect_heartbeats"],
        "neurokit2": ["ecg_clean", "ecg_peaks"],
    }.items():
        texts = [STAND_IN.format(name=name, calls=str(calls)) for name in functions]
        (tmp_path / f"{module}.py").write_text("".join(texts))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for program in ("osea", "gqrs"):
        executable(tmp_path / program, f'test -f "$2.dat" && echo {program} $1 "$2" >> {calls}')

    names = script("scoring")
    interpreters = {"sleepecg": sys.executable, "NeuroKit2": sys.executable}
    programs = [
        ("beats, N and V", f"{tmp_path}/osea -r {{record}}"),
        ("beats", f"{tmp_path}/gqrs -r {{record}}"),
    ]
    results = names["beside"](names["peers"](record, out, interpreters, programs), 1)

    assert {name: result["gives"] for name, result in results.items()} == {
        "ectopy, the whole analysis": "all",
        "ectopy, detection": "beats",
        "wfdb xqrs": "beats",
        "sleepecg": "beats",
        "NeuroKit2": "beats",
        "osea": "beats, N and V",
        "osea, the first second alone": "beats, N and V",
        "gqrs": "beats",
        "gqrs, the first second alone": "beats",
    }
    assert results["ectopy, the whole analysis"]["of ours"] == 1
    whole, short = record.with_suffix(""), out / record.stem
    assert calls.read_text().splitlines() == 2 * [
        *["detect_heartbeats 15000"] * 2,  # the first call of each process warms it up
        *["ecg_clean 15000", "ecg_peaks 15000"] * 2,
        *(f"{program} -r {path}" for program in ("osea", "gqrs") for path in (whole, short)),
    ]


def test_a_program_that_fails_ends_the_benchmark_with_what_it_says(record, tmp_path):
    program = executable(tmp_path / "detector", "echo no such record >&2; exit 3")
    tools = script("scoring")["peers"](record, tmp_path, {}, [("beats", f"{program} {{record}}")])
    with pytest.raises(SystemExit, match="no such record"):
        tools["detector"].run()


def test_programs_are_taken_from_the_command_line_in_any_number():
    parse = script("scoring")["command_line"]().parse_args
    assert parse(["data"]).program == []
    programs = [["beats", "gqrs -r {record}"], ["beats, N and V", "osea {record}"]]
    assert parse(["data", "--program", *programs[0], "--program", *programs[1]]).program == programs


def test_the_page_says_what_each_tool_gives_and_draws_it(tmp_path):
    results = {
        "scoring": json.loads((ROOT / "docs" / "benchmarks.json").read_text())["scoring"]
        | {
            "the same without the loops in C, s": {"of those with them": GIVEN},
            "beside others, first lead of one record, seconds of one core": {
                "osea": {**GIVEN, "of ours": 0.39, "gives": "beats, N and V"},
                "ectopy, the whole analysis": {**GIVEN, "of ours": 1.0, "gives": "all"},
            },
        }
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    script("page")["main"](tmp_path / "results.json")
    lines = (tmp_path / "results.md").read_text().splitlines()
    assert "| osea | beats, N and V | 0.030 [0.020 - 0.040] | 0.39 |" in lines
    assert "| ectopy, the whole analysis | all | 0.030 [0.020 - 0.040] | 1 |" in lines
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_rescoring_fails_where_the_cache_changes_a_file(tmp_path):
    compare = script("rescoring")["compare"]
    for name in ("without", "cached"):
        (tmp_path / name / "r").mkdir(parents=True)
        (tmp_path / name / "r" / "beats.parquet").write_text("beats")
    compare(tmp_path / "without", tmp_path / "cached")
    (tmp_path / "cached" / "r" / "beats.parquet").write_text("others")
    (tmp_path / "cached" / "more").write_text("")
    with pytest.raises(SystemExit, match=r"these files are others: more, r/beats\.parquet$"):
        compare(tmp_path / "without", tmp_path / "cached")


def test_the_other_model_of_rescoring_is_another_one(tmp_path):
    other, shipped = load_classifier(script("rescoring")["another_model"](tmp_path / "m")), SHIPPED_MODEL
    assert other.network == load_classifier(shipped).network
    assert other.version_id != load_classifier(shipped).version_id


def test_the_page_tells_what_rescoring_takes(tmp_path):
    cost = {"wall_s": GIVEN, "cpu_s": GIVEN, "peak_mb": GIVEN}
    ways = ("without a cache", "into an empty cache", "with another model, from the cache")
    results = {
        "machine": json.loads((ROOT / "docs" / "benchmarks.json").read_text())["scoring"]["machine"]
        | {"ectopy": "abc", "loops": "in numpy"},
        "recordings": {"number": 48, "hours": 24.1},
        "workers": 2,
        "of scoring without a cache": {way: {"wall_s": GIVEN, "cpu_s": GIVEN} for way in ways[1:]},
        "cache, MB in an hour of signal": 2.2,
        **dict.fromkeys(ways, cost),
    }
    (tmp_path / "results.json").write_text(json.dumps({"rescoring": results}))
    script("page")["main"](tmp_path / "results.json")
    text = (tmp_path / "results.md").read_text()
    assert "## 48 recordings again, with another model" in text
    assert "it takes 0.03 [0.02 - 0.04] times the CPU" in text
    assert "It takes 2.2 MB for an hour" in text
    assert "ectopy abc, loops in numpy; " in text
