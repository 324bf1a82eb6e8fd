"""Time to score recordings with another model, when a cache has what does not depend on the model.

``uv run python benchmarks/rescoring.py data/mitdb/1.0.0 --json results.json`` scores the records with the
command, all outputs: without a cache, into an empty cache, and with another model from the full cache. The
other model has the network of the shipped one and another name. Both models give other results without a
cache; a difference between the files with and without it is an error.
"""

import json
import shutil
import tempfile
from pathlib import Path

from measure import Cost, cost_of, costs, ectopy, options, report, spread

from ectopy.model.classifier import SHIPPED_MODEL
from ectopy.readers import open_recording


def main() -> None:
    """Run all measurements and report them."""
    parser = options(__doc__ or "")
    parser.add_argument("folder", type=Path, help="WFDB records, such as data/mitdb/1.0.0")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    recordings = [open_recording(header) for header in sorted(chosen.folder.glob("*.hea"))]
    hours = sum(recording.duration_s for recording in recordings) / 3600
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        runs, n_bytes = in_turns(chosen.folder, work, chosen.runs, chosen.workers)
    report(
        "rescoring",
        {
            "recordings": {"number": len(recordings), "hours": round(hours, 2)},
            "workers": chosen.workers,
            **{name: costs(of_name) for name, of_name in runs.items()},
            "of scoring without a cache": {
                name: {
                    kind: spread(
                        [
                            getattr(cost, kind) / getattr(first, kind)
                            for cost, first in zip(*both, strict=True)
                        ]
                    )
                    for kind in ("wall_s", "cpu_s")
                }
                for name, both in (
                    (name, (of_name, runs["without a cache"])) for name, of_name in runs.items()
                )
                if name != "without a cache"
            },
            "MB of cache in an hour of signal": round(n_bytes / 1e6 / hours, 2),
        },
        chosen.json,
    )


def in_turns(folder: Path, work: Path, n_runs: int, workers: int) -> tuple[dict[str, list[Cost]], int]:
    """Measure the ways of scoring in turns, after one turn to warm up; also return the size of the cache."""
    other, runs = another_model(work / "other"), {}
    for turn in range(n_runs + 1):
        cache = work / f"cache{turn}"
        ways = {
            "without a cache": (other, []),
            "into an empty cache": (SHIPPED_MODEL, ["--cache", cache]),
            "another model, from the cache": (other, ["--cache", cache]),
        }
        results = {}
        for name, (model, more) in ways.items():
            out = results[name] = work / f"{turn} {name}"
            command = ectopy(
                "score", folder, "--out", out, "--workers", str(workers), "--model", model, *more
            )
            cost = cost_of(command)
            if turn:
                runs.setdefault(name, []).append(cost)
        compare(results["without a cache"], results["another model, from the cache"])
        n_bytes = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
        for done in (cache, *results.values()):
            shutil.rmtree(done)
    return runs, n_bytes


def another_model(folder: Path) -> Path:
    """Write the shipped model under another name, which gives it another identifier."""
    shutil.copytree(SHIPPED_MODEL, folder, ignore=shutil.ignore_patterns("manifest.json"))
    specification = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(specification | {"name": "another one"}))
    return folder


def compare(without: Path, cached: Path) -> None:
    """Check that two folders of results have the same files."""
    first, second = (
        {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()}
        for out in (without, cached)
    )
    if first != second:
        raise SystemExit(f"{without} and {cached} differ")


if __name__ == "__main__":
    main()
