"""Time to score recordings with another model, when a cache has what does not depend on the model.

``uv run python benchmarks/rescoring.py data/mitdb/1.0.0 --json results.json`` scores the records with the
command, all outputs: without a cache, into an empty cache, and with another model from the cache. The other
model has the network of the shipped one and another name. Its results with and without the cache are
compared: the benchmark fails if any file differs.
"""

import json
import shutil
import tempfile
from pathlib import Path

from measure import Cost, cost_of, costs, ectopy, options, report, spread

from ectopy.model.classifier import SHIPPED_MODEL
from ectopy.readers import open_recording

WITHOUT, EMPTY, FULL = "without a cache", "into an empty cache", "with another model, from the cache"


def main() -> None:
    """Run all measurements and report them."""
    parser = options(__doc__ or "")
    parser.add_argument("folder", type=Path, help="WFDB records, such as data/mitdb/1.0.0")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    durations_s = [open_recording(header).duration_s for header in chosen.folder.glob("*.hea")]
    hours = sum(durations_s) / 3600
    with tempfile.TemporaryDirectory() as folder:
        runs, n_bytes = in_turns(chosen.folder, Path(folder), chosen.runs, chosen.workers)
    metrics = {
        "recordings": {"number": len(durations_s), "hours": round(hours, 2)},
        "workers": chosen.workers,
        **{name: costs(of_way) for name, of_way in runs.items()},
        "of scoring without a cache": {name: ratios(runs[name], runs[WITHOUT]) for name in (EMPTY, FULL)},
        "cache, MB in an hour of signal": round(n_bytes / 1e6 / hours, 2),
    }
    report("rescoring", metrics, chosen.json)


def in_turns(folder: Path, work: Path, n_runs: int, workers: int) -> tuple[dict[str, list[Cost]], int]:
    """Score in each way, in turns, after one turn to warm up; also return the size of the cache in bytes."""
    other = another_model(work / "model")
    runs: dict[str, list[Cost]] = {name: [] for name in (WITHOUT, EMPTY, FULL)}
    for turn in range(n_runs + 1):
        cache, results = work / "cache", {name: work / name for name in runs}
        for name, out in results.items():
            model = SHIPPED_MODEL if name == EMPTY else other
            command = ectopy("score", folder, "--out", out, "--workers", str(workers), "--model", model)
            cost = cost_of(command if name == WITHOUT else [*command, "--cache", str(cache)])
            if turn:
                runs[name].append(cost)
        compare(results[WITHOUT], results[FULL])
        n_bytes = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
        for done in (cache, *results.values()):
            shutil.rmtree(done)
    return runs, n_bytes


def ratios(of_way: list[Cost], without: list[Cost]) -> dict[str, dict[str, float]]:
    """Compare the times of each turn with those of scoring without a cache."""
    turns = list(zip(of_way, without, strict=True))
    return {
        kind: spread([getattr(cost, kind) / getattr(first, kind) for cost, first in turns])
        for kind in ("wall_s", "cpu_s")
    }


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
        differ = [file for file in first.keys() | second.keys() if first.get(file) != second.get(file)]
        raise SystemExit(f"with the cache these files are others: {', '.join(sorted(map(str, differ)))}")


if __name__ == "__main__":
    main()
