"""The command as a user meets it: in a process of its own, by exit status, stdout and stderr."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ectopy import cli
from ectopy.batch import results
from ectopy.datasets.simulate import simulate_database
from tests.small import FS, Here, signal_of, write_model, write_record

HEAVY = ("numpy", "scipy", "pandas", "wfdb", "pyarrow", "onnxruntime", "matplotlib", "pydantic")
PIPELINE = ("keras", "jax", "mlflow", "prefect", "sklearn")
NUMERIC = ("numpy", "pyarrow", "onnxruntime")  # in the workers only: the command itself opens no recording
SLOW = ("scipy", "pandas", "wfdb", "matplotlib")  # each takes longer to import than half an hour to score


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def environment(**changes: str) -> dict[str, str]:
    """Give the environment without settings of ectopy, which a developer may have."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ECTOPY_")} | changes


def ectopy(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the true command."""
    command = [sys.executable, "-m", "ectopy", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=env or environment(), cwd=cwd, timeout=120, check=False
    )


def run(*arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command in this process, which is faster; give exit status, stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def summary(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.csv").open(newline="") as file:
        return {row["recording"]: row for row in csv.DictReader(file)}


class TestHelp:
    def test_it_lists_the_commands_of_the_contract(self) -> None:
        shown = ectopy("--help")
        assert shown.returncode == 0
        listed = [
            line.split()[0] for line in shown.stdout.partition("Commands:")[2].splitlines() if line.strip()
        ]
        assert listed == [
            *(
                "ingest",
                "train",
                "evaluate",
                "score",
                "stream",
                "review",
                "criteria",
                "ec57",
                "simulate",
                "export",
                "train-rhythm",
                "train-live",
                "evaluate-findings",
                "cross-database",
                "ablation",
                "log-reviews",
            ),
            *("demo", "up", "ui", "clean", "pseudonyms", "models"),
        ]

    @pytest.mark.parametrize(
        ("command", "options"),
        [
            ("ingest", "--all-training --source --data-dir --records"),
            ("train", "--database --data-dir --set --config --corrections --corrections-weight"),
            ("evaluate", "--database --data-dir --reason --card-to"),
            ("train-rhythm", "--data-dir --model"),
            ("train-live", "--database --data-dir --set --config --look-ahead"),
            ("evaluate-findings", "--data-dir --model --out --held-out"),
            ("cross-database", "--database --data-dir --seeds --out --set --config --quick"),
            ("ablation", "--database --data-dir --seeds --architectures --lengths --out --quick"),
            (
                "score",
                "--out --model --workers --fs --unit --leads --criteria --diary --mark-text --force --fhir --pdf",
            ),
            ("ec57", "--reference --test --annotator --reference-annotator --records --map --format --json"),
            ("ec57", "--disclosure --results --detector --second --second-annotator"),
            ("simulate", "--out --recordings --minutes --seed"),
            ("demo", "--out"),
            ("up", "--prefect-port --mlflow-port --data-dir"),
            ("ui", "--port --data-dir"),
        ],
    )
    def test_every_option_of_the_contract_is_there(
        self, command: str, options: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, shown, _ = run(command, "--help", capsys=capsys)
        assert status == 0
        assert [option for option in options.split() if option not in shown.split()] == []

    def test_it_loads_nothing_that_takes_time(self) -> None:
        program = (
            "import sys\nfrom ectopy.cli import main\n"
            "try: main(['--help'])\nexcept SystemExit: pass\n"
            f"print(sorted(set({(*HEAVY, *PIPELINE)!r}) & set(sys.modules)), file=sys.stderr)"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert ran.stderr.strip() == "[]"

    def test_its_entry_point_which_workers_import_too_loads_nothing_that_takes_time(self) -> None:
        (script,) = entry_points(group="console_scripts", name="ectopy")
        names = {*HEAVY, *PIPELINE, "typer", "ectopy.cli"}
        program = f"import sys, {script.module}; print(sorted({names!r} & set(sys.modules)))"
        assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"

    def test_scoring_loads_nothing_of_the_pipeline_and_nothing_that_takes_longer_than_it(
        self, tmp_path: Path, out: Path, model: Path
    ) -> None:
        header = write_record(tmp_path)
        command = (
            "import sys\nfrom ectopy.cli import main\n"
            f"try: main(['score', {str(header)!r}, '--out', {str(out)!r}, '--model', {str(model)!r}])\n"
            "except SystemExit as ended: assert not ended.code\n"
        )
        worker = (
            "import sys\nfrom pathlib import Path\nfrom ectopy.batch.planning import Job, ScoreOptions\n"
            "from ectopy.batch.runner import score_one\n"
            f"score_one(Job(Path({str(header)!r}), 'again', Path({str(out)!r}), ScoreOptions(Path({str(model)!r}))))\n"
        )
        for program, not_loaded in (
            (command, (*SLOW, *NUMERIC, *PIPELINE, "smtplib")),
            (worker, (*SLOW, *PIPELINE)),
        ):
            told = f"print(sorted(set({not_loaded!r}) & set(sys.modules)))"
            ran = subprocess.run(
                [sys.executable, "-c", program + told],
                capture_output=True,
                text=True,
                check=True,
                env=environment(),
            )
            assert ran.stdout.splitlines()[-1] == "[]"

    def test_the_version_is_that_of_the_package(self) -> None:
        from importlib.metadata import version

        assert ectopy("--version").stdout == f"ectopy {version('ectopy')}\n"


class TestWrongUsage:
    def test_no_command_shows_the_help_and_is_wrong(self) -> None:
        shown = ectopy()
        assert (shown.returncode, "Commands:" in shown.stdout + shown.stderr) == (2, True)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("scroe",),
            ("score", "x"),
            ("score", "--out", "o"),
            ("score", "x", "--out", "o", "--workers", "0"),
            ("score", "x", "--out", "o", "--fs", "fast"),
            ("score", "x", "--out", "o", "--fs", "0"),
            ("score", "x", "--out", "o", "--unit", "mmHg"),
            ("score", "x", "--out", "o", "--speed"),
            ("ec57", "--reference", "r", "--test", "t", "--annotator", "a", "--map", "mine"),
        ],
    )
    def test_it_ends_with_2(self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
        status, printed, said = run(*arguments, capsys=capsys)
        assert (status, printed) == (2, "")
        assert "Traceback" not in said

    def test_a_misspelt_setting_is_refused(self, tmp_path: Path) -> None:
        ran = ectopy("score", tmp_path, "--out", "o", env=environment(ECTOPY_WORKER="2"), cwd=tmp_path)
        assert ran.returncode == 2
        assert ran.stderr.startswith("ectopy: ECTOPY_WORKER: unknown setting. Use one of ")
        assert len(ran.stderr.splitlines()) == 1

    def test_a_setting_with_an_impossible_value_is_refused(self, tmp_path: Path) -> None:
        ran = ectopy("score", tmp_path, "--out", "o", env=environment(ECTOPY_WORKERS="0"), cwd=tmp_path)
        assert (ran.returncode, ran.stderr.splitlines()[0][:23]) == (2, "ectopy: ECTOPY_WORKERS:")


class TestErrors:
    """One line for what a user can mend; a traceback for what only we can."""

    def ended(self, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(**_: object) -> None:
            raise error

        monkeypatch.setattr(cli, "app", fail)
        cli.main([])

    def test_a_stated_reason_is_one_line_and_1(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match="1"):
            self.ended(results.BusyError("out: another run\nis there"), monkeypatch)
        assert capsys.readouterr().err == "ectopy: out: another run is there\n"

    def test_a_library_that_the_base_does_not_bring_is_named_with_its_cure(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        missing = ModuleNotFoundError("No module named 'prefect'", name="prefect.flows")
        with pytest.raises(SystemExit, match="1"):
            self.ended(missing, monkeypatch)
        assert "pip install 'ectopy[pipeline]'" in capsys.readouterr().err

    def test_the_true_command_says_so_where_prefect_is_missing(self, tmp_path: Path) -> None:
        # A finder in front of all others plays the base installation.
        (tmp_path / "sitecustomize.py").write_text(
            "import sys\n"
            "class Without:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name.partition('.')[0] in ('prefect', 'mlflow', 'keras'):\n"
            "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
            "sys.meta_path.insert(0, Without())\n"
        )
        ran = ectopy("ingest", "mitdb", env=environment(PYTHONPATH=str(tmp_path)), cwd=tmp_path)
        assert ran.returncode == 1
        assert ran.stderr == "ectopy: prefect is not installed. Run `pip install 'ectopy[pipeline]'`.\n"

    @pytest.mark.parametrize(
        "error", [ValueError("a bug"), ModuleNotFoundError("no x", name="x"), KeyError("k")]
    )
    def test_a_bug_keeps_its_traceback(self, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(type(error)):
            self.ended(error, monkeypatch)


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> object:
    """What a flow of a study gives; the link to a run needs no store."""
    from ectopy.flows import progress
    from ectopy.registry.closing import Study

    monkeypatch.setattr(progress, "link_to", lambda run: f"http://127.0.0.1:5000/#/runs/{run}")
    return Study("# a long page", "test  VEB F1\nall     90.0", "out/page.md", "7")


STUDY_SHOWN = "test  VEB F1\nall     90.0\nout/page.md\n"
STUDY_SAID = ["all of it: http://127.0.0.1:5000/#/runs/7", "the page:"]


class TestAblation:
    @pytest.mark.parametrize("command", ["ablation", "compare"])
    def test_the_flow_gets_the_options_and_its_summary_is_printed_with_path_and_link(
        self,
        command: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        study: object,
    ) -> None:
        from ectopy.flows import compare
        from ectopy.model.network import TrainConfig

        given: list[object] = []

        def flow(*arguments: object) -> object:
            given.extend(arguments)
            return study

        monkeypatch.setattr(compare, "compare", flow)
        monkeypatch.setattr(compare, "require_architectures", lambda *_: ((), ()))
        arguments = ("--data-dir", str(tmp_path), "--seeds", "2", "--architectures", "gru, lstm")
        status, printed, said = run(command, *arguments, "--lengths", "16,256", "--quick", capsys=capsys)
        assert (status, printed) == (0, STUDY_SHOWN), said
        assert said.splitlines()[-2:] == STUDY_SAID
        quick = TrainConfig(n_folds=2, epochs=2, windows_per_epoch=64, batch_windows=16)
        assert given == ["mitdb", tmp_path, 2, ("gru", "lstm"), (16, 256), quick, None]

    def test_what_cannot_be_compared_is_refused_before_prefect_starts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ectopy.flows import compare

        monkeypatch.setattr(compare, "compare", lambda *_: pytest.fail("the flow was started"))
        simulate_database(tmp_path, recordings=3, minutes=0.2, seed=0)
        given = ("ablation", "--database", "simdb", "--data-dir", tmp_path)
        status, _, told = run(*given, "--architectures", "gru2", capsys=capsys)
        assert (status, "'gru2' is unknown. Use one of" in told) == (2, True)
        status, _, told = run(*given, capsys=capsys)
        assert (status, "2 patients are too few for 5 folds" in told) == (1, True)

    @pytest.mark.parametrize("lengths", ["0", "16,long", "-3", "1.5"])
    def test_a_length_that_is_no_number_of_beats_is_wrong_usage(
        self, lengths: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, _, said = run("ablation", "--lengths", lengths, capsys=capsys)
        assert status == 2
        assert "not whole numbers above 0" in said

    def test_an_unknown_kind_is_wrong_usage_and_the_known_are_named(self) -> None:
        from ectopy.ablation import select_architectures
        from ectopy.cli import _WRONG_USAGE
        from ectopy.model.network import TrainConfig, TrainConfigError

        with pytest.raises(TrainConfigError, match=r"'gru2' is unknown\. Use one of simple-rnn, gru, lstm, "):
            select_architectures(("gru", "gru2"), (), TrainConfig())
        assert TrainConfigError.__name__ in _WRONG_USAGE


class TestCrossDatabase:
    @pytest.fixture
    def given(self, monkeypatch: pytest.MonkeyPatch, study: object) -> list[tuple[Any, ...]]:
        """What the flow is called with."""
        from ectopy.flows import cross_database

        given: list[tuple[Any, ...]] = []

        def flow(*arguments: object) -> object:
            given.append(arguments)
            return study

        monkeypatch.setattr(cross_database, "cross_database", flow)
        monkeypatch.setattr(cross_database, "require_databases", lambda *_: [])
        return given

    def test_a_file_has_settings_and_databases_and_options_count_before_it(
        self, given: list[tuple[Any, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ectopy.model.network import TrainConfig
        from ectopy.model.training_sources import DEFAULT_SOURCES, TrainingSource

        file = tmp_path / "t.toml"
        file.write_text('[settings]\nseed = 3\nepochs = 9\n[[databases]]\nname = "svdb"\nweight = 0.5\n')
        of_file = ("--config", str(file))
        for options in ((), of_file, (*of_file, "--set", "epochs=4"), (*of_file, "--database", "mitdb")):
            status, printed, said = run("cross-database", *options, "--seeds", "2", capsys=capsys)
            assert (status, printed) == (0, STUDY_SHOWN)
            assert said.splitlines()[-2:] == STUDY_SAID
        svdb, mitdb = [TrainingSource("svdb", weight=0.5)], [TrainingSource("mitdb")]
        assert [[*sources] for sources, *_ in given] == [[*DEFAULT_SOURCES], svdb, svdb, mitdb]
        configs = [config for *_, config, _ in given]
        assert configs == [TrainConfig(), *(TrainConfig(seed=3, epochs=n) for n in (9, 4, 9))]

    def test_quick_counts_before_the_file_and_set_before_both(
        self, given: list[tuple[Any, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "t.toml"
        file.write_text("[settings]\nseed = 3\nepochs = 9\n")
        options = ("--config", str(file), "--quick", "--set", "n_folds=4")
        assert run("cross-database", *options, capsys=capsys)[0] == 0
        ((*_, config, _),) = given
        assert (config.seed, config.epochs, config.n_folds) == (3, 2, 4)

    def test_what_cannot_be_evaluated_is_refused_before_prefect_starts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ectopy.flows import cross_database

        monkeypatch.setattr(cross_database, "cross_database", lambda *_: pytest.fail("the flow was started"))
        simulate_database(tmp_path, recordings=3, minutes=0.2, seed=0)
        for options, message in (
            (("--database", "simdb"), "one database is not enough to leave one out. Name at least two."),
            (("--database", "simdb", "--database", "mitdb"), "the database mitdb is missing"),
        ):
            status, _, told = run("cross-database", "--data-dir", tmp_path, *options, capsys=capsys)
            assert status in {1, 2}
            assert message in told


class TestTrain:
    @pytest.fixture
    def sources(self) -> list[Any]:
        """The databases that the flow is called with."""
        return []

    @pytest.fixture
    def configs(self, sources: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """The configurations that the flow is called with."""
        from ectopy.flows import progress, train
        from ectopy.registry import closing

        given: list[object] = []

        def flow(databases: list[object], _data_dir: Path, config: object, **_options: object) -> object:
            sources.append(databases)
            given.append(config)
            return SimpleNamespace(uri="models:/ectopy/1", run_id="7")

        monkeypatch.setattr(train, "train", flow)
        monkeypatch.setattr(train, "require_training", lambda *_: [])
        monkeypatch.setattr(
            closing, "of_training", lambda version: f"out of fold of {version.uri}\nVEB F1 90.0"
        )
        monkeypatch.setattr(progress, "link_to", lambda run: f"http://127.0.0.1:5000/#/runs/{run}")
        return given

    def test_fields_of_the_configuration_can_be_set(
        self, configs: list[object], capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ectopy.model.network import TrainConfig

        changes = ("--set", "learning_rate=0.003", "--set", "epochs=2")
        assert run("train", *changes, capsys=capsys)[:2] == (0, "models:/ectopy/1\n")
        assert run("train", capsys=capsys)[0] == 0
        assert configs == [TrainConfig(learning_rate=0.003, epochs=2), TrainConfig()]

    def test_the_architecture_can_be_set_and_an_unknown_one_is_wrong_usage(
        self, configs: list[object], capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ectopy.model.network import TrainConfig

        assert run("train", "--set", "architecture=lstm", capsys=capsys)[0] == 0
        assert configs == [TrainConfig(architecture="lstm")]
        status, _, said = run("train", "--set", "architecture=gru2", capsys=capsys)
        assert (status, len(configs)) == (2, 1)
        assert "'gru2' is unknown. Use one of simple-rnn, gru, lstm, " in said

    def test_a_file_has_settings_and_databases_and_options_count_before_it(
        self, configs: list[object], sources: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ectopy.model.network import TrainConfig
        from ectopy.model.training_sources import TrainingSource

        file = tmp_path / "t.toml"
        file.write_text('[settings]\nseed = 3\nepochs = 2\n[[databases]]\nname = "svdb"\nweight = 0.5\n')
        assert run("train", "--config", str(file), capsys=capsys)[0] == 0
        assert run("train", "--config", str(file), "--set", "epochs=4", capsys=capsys)[0] == 0
        assert run("train", "--config", str(file), "--database", "mitdb", capsys=capsys)[0] == 0
        assert configs == [TrainConfig(seed=3, epochs=n) for n in (2, 4, 2)]
        svdb = [TrainingSource("svdb", weight=0.5)]
        assert [[*given] for given in sources] == [svdb, svdb, [TrainingSource("mitdb")]]

    def test_a_mistake_in_the_file_is_wrong_usage(
        self, configs: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "t.toml"
        file.write_text("[settings]\nspeed = 1\n")
        status, _, message = run("train", "--config", str(file), capsys=capsys)
        assert (status, configs) == (2, [])
        assert "t.toml: speed: unknown training setting" in message

    @pytest.mark.usefixtures("configs")
    def test_several_databases_can_be_named_each_with_its_weight(
        self, sources: list[Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ectopy.model.training_sources import DEFAULT_SOURCES, TrainingSource

        assert run("train", capsys=capsys)[0] == 0
        assert run("train", "--database", "mitdb", "--database", "svdb=0.5", capsys=capsys)[0] == 0
        assert sources == [DEFAULT_SOURCES, [TrainingSource("mitdb"), TrainingSource("svdb", weight=0.5)]]

    @pytest.mark.usefixtures("configs")
    def test_the_summary_has_a_link_to_the_run_and_stdout_the_version_alone(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, printed, told = run("train", capsys=capsys)
        assert (status, printed) == (0, "models:/ectopy/1\n")
        assert told.splitlines() == [
            "loading Keras, MLflow and Prefect",
            "out of fold of models:/ectopy/1",
            "VEB F1 90.0",
            "http://127.0.0.1:5000/#/runs/7",
            "next: ectopy evaluate",
        ]

    def test_too_few_patients_are_refused_before_prefect_starts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from ectopy.flows import train

        def never(*_: object, **__: object) -> None:
            pytest.fail("the flow was started")

        monkeypatch.setattr(train, "train", never)
        simulate_database(tmp_path, recordings=3, minutes=0.2, seed=0)
        given = ("--database", "simdb", "--data-dir", tmp_path, "--set", "n_folds=9")
        status, _, told = run("train", *given, capsys=capsys)
        assert status == 1
        assert "2 patients are too few for 9 folds. Add records with `ectopy ingest`" in told

    def test_a_misspelt_database_or_weight_is_reported_before_anything_starts(
        self, configs: list[object], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for text, message in (
            ("svbd", "ectopy: svbd: unknown database"),
            ("", "ectopy: '': unknown database"),
            ("svdb=x", "svdb=x: 'x' is not a weight"),
        ):
            status, _, told = run("train", "--database", text, capsys=capsys)
            assert (status, configs) == (2, [])
            assert message in told

    def test_an_unknown_field_is_wrong_usage(
        self, configs: list[object], capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, _, message = run("train", "--set", "speed=1", capsys=capsys)
        assert (status, configs) == (2, [])
        assert "speed" in message

    def test_a_mistake_is_told_before_mlflow_and_prefect_load(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "ectopy.flows.train", None)  # to import it is an error
        status, _, message = run("train", "--set", "epochs=many", capsys=capsys)
        assert (status, message.splitlines()[-1]) == (
            2,
            "ectopy: epochs: 'many' is not an integer. Give an integer such as 24.",
        )

    @pytest.mark.parametrize("text", ["epochs", "=2", ""])
    def test_a_change_without_name_or_equals_sign_is_wrong_usage(
        self, text: str, configs: list[object], capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, _, message = run("train", "--set", text, capsys=capsys)
        assert (status, configs) == (2, [])
        assert "not of the form NAME=VALUE" in message


def test_names_of_version_0_1_work_in_0_2_and_not_later() -> None:
    """The promise of docs/interface.md: with version 0.3, delete the old names and this test."""
    assert version("ectopy").startswith("0.2.")
    assert cli._OLD_NAMES == {"why": "reason", "compare": "ablation"}
    assert find_spec("ectopy.qrs")


class TestReason:
    """--reason was --why in version 0.1."""

    @pytest.mark.parametrize("option", ["--reason", "--why"])
    def test_the_flow_gets_it(
        self, option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ectopy.flows import evaluate, progress
        from ectopy.registry.promotion_gate import PromotionDecision

        given: dict[str, object] = {}

        def flow(*_: object, **arguments: object) -> PromotionDecision:
            given.update(arguments)
            return PromotionDecision(False, "a test " * 20, "# Report", summary="VEB F1  90.0", run_id="7")

        monkeypatch.setattr(evaluate, "evaluate", flow)
        monkeypatch.setattr(evaluate, "require_held_out", lambda *_: None)
        monkeypatch.setattr(progress, "link_to", lambda run: f"http://127.0.0.1:5000/#/runs/{run}")
        status, printed, told = run("evaluate", option, "a new release", capsys=capsys)
        summary, *decision = printed.splitlines()
        assert (status, summary, len(decision)) == (0, "VEB F1  90.0", 2)
        assert decision[0].startswith("not promoted: a test a test")
        assert max(map(len, decision)) <= 100
        assert told.splitlines()[-1] == "all of it: http://127.0.0.1:5000/#/runs/7"
        assert given["reason"] == "a new release"

    @pytest.mark.parametrize("command", [("promote", "1"), ("rollback",)])
    def test_a_change_of_the_champion_needs_one(
        self, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, _, message = run("models", *command, capsys=capsys)
        assert status == 2
        assert "--reason" in message


class TestScore:
    def test_results_go_to_stdout_and_messages_to_stderr(
        self, tmp_path: Path, out: Path, model: Path
    ) -> None:
        ran = ectopy("score", write_record(tmp_path), "--out", out, "--model", model)
        assert ran.returncode == 0
        assert ran.stdout.splitlines() == [
            "1 recording: 1 scored",
            str(out / "summary.csv"),
            str(out / "index.html"),
        ]
        assert ran.stderr.splitlines() == ["model: small 1 (test), given", "r: scored"]

    def test_a_directory_is_scored_by_several_processes(self, tmp_path: Path, out: Path, model: Path) -> None:
        for seed in range(3):
            write_record(tmp_path / "in", f"r{seed}", signal_of(seed=seed))
        (tmp_path / "in" / "notes.txt").write_text("not ECG")
        ran = ectopy("score", tmp_path / "in", "--out", out, "--model", model, "--workers", "2")
        assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "3 recordings: 3 scored")
        assert sorted(ran.stderr.splitlines()[1:-1]) == ["r0: scored", "r1: scored", "r2: scored"]
        assert ran.stderr.splitlines()[-1] == "1 other file is not a recording"

    def test_a_second_run_skips_and_says_so(
        self, tmp_path: Path, out: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ("score", write_record(tmp_path), "--out", out, "--model", model)
        run(*arguments, capsys=capsys)
        status, printed, _ = run(*arguments, capsys=capsys)
        assert (status, printed.splitlines()[0]) == (0, "1 recording: 1 skipped")
        status, printed, _ = run(*arguments, "--force", capsys=capsys)
        assert (status, printed.splitlines()[0]) == (0, "1 recording: 1 scored")

    def test_the_champion_of_the_data_directory_is_the_default(
        self, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_model(tmp_path / "data" / "models" / "champion", name="small 3 (champion)")
        run("score", write_record(tmp_path), "--out", out, "--data-dir", tmp_path / "data", capsys=capsys)
        assert summary(out)["r"]["model"] == "small 3 (champion)"

    def test_some_failures_end_with_1_and_are_named_in_both_places(
        self, tmp_path: Path, out: Path, model: Path
    ) -> None:
        write_record(tmp_path, "whole")
        write_record(tmp_path, "cut")
        os.truncate(tmp_path / "cut.dat", 10)
        ran = ectopy("score", tmp_path, "--out", out, "--model", model, "--workers", "1")
        reason = f"{tmp_path / 'cut.dat'}: the file has 10 bytes, but its header describes 60000. Copy the complete file again."
        assert ran.returncode == 1
        assert ran.stdout.splitlines()[0] == "2 recordings: 1 failed, 1 scored"
        assert f"cut: failed: {reason}" in ran.stderr.splitlines()
        assert (summary(out)["cut"]["status"], summary(out)["cut"]["reason"]) == ("failed", reason)
        assert summary(out)["whole"]["status"] == "scored"

    def test_a_model_that_cannot_be_used_stops_the_run_before_it_begins(
        self, tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "empty").mkdir()
        header = write_record(tmp_path)
        status, _, said = run("score", header, "--out", out, "--model", tmp_path / "empty", capsys=capsys)
        assert (status, out.exists()) == (1, False)
        assert said.startswith(f"ectopy: {tmp_path / 'empty'}: not a model directory (no model.onnx).")


class TestBadInput:
    """The list of what goes wrong; each ends as the contract says."""

    @pytest.fixture(autouse=True)
    def place(
        self,
        tmp_path: Path,
        model: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.here, self.out, self.model, self.capsys = tmp_path / "in", tmp_path / "out", model, capsys
        self.here.mkdir()
        # No process is started for two recordings of a minute; TestScore starts some.
        monkeypatch.setattr("ectopy.parallel.worker_pool.WorkerPool", lambda *_: Here())

    def score(self, path: str | Path) -> tuple[int, str]:
        status, _, said = run("score", path, "--out", self.out, "--model", self.model, capsys=self.capsys)
        assert "Traceback" not in said
        return status, said

    def failed(self, path: Path) -> str:
        """Score what cannot be read; give the reason, which stderr and the summary both tell."""
        status, said = self.score(path)
        assert status == 1
        (row,) = summary(self.out).values()
        assert row["status"] == "failed"
        assert f"{row['recording']}: failed: {row['reason']}" in said.splitlines()
        return row["reason"].replace(f"{self.here}/", "")

    def scored(
        self, signal: "np.ndarray[tuple[int, ...], np.dtype[np.floating]]", fs: float = FS
    ) -> dict[str, str]:
        status, said = self.score(write_record(self.here, signal=signal, fs=fs))
        assert (status, said.splitlines()[-1]) == (0, "r: scored")
        return summary(self.out)["r"]

    def test_a_path_that_does_not_exist(self) -> None:
        status, said = self.score(self.here / "nowhere")
        assert (status, said) == (
            2,
            f"ectopy: {self.here / 'nowhere'}: no such file or directory. Check the path or the pattern.\n",
        )
        assert not self.out.exists()

    def test_one_missing_path_among_others_stops_before_the_others_begin(self) -> None:
        header = write_record(self.here)
        status, _, said = run("score", header, self.here / "x", "--out", self.out, capsys=self.capsys)
        assert (status, self.out.exists()) == (2, False)
        assert "no such file" in said

    def test_a_file_where_results_should_go(self) -> None:
        header = write_record(self.here)
        (self.here / "taken").write_text("a file")
        status, _, said = run("score", header, "--out", self.here / "taken", capsys=self.capsys)
        assert status == 1
        assert f"{self.here / 'taken'}: a file stands where a folder should go. Give another folder." in said

    def test_a_runner_that_does_not_exist(self) -> None:
        header = write_record(self.here)
        status, _, said = run("score", header, "--out", self.out, "--runner", "foo", capsys=self.capsys)
        assert status == 2
        assert "--runner foo: not a runner. Give local, dask, or the address" in said

    def test_an_empty_directory(self) -> None:
        status, said = self.score(self.here)
        assert status == 2
        assert said.startswith(f"ectopy: {self.here}: no recording found in 0 files. Name ")
        assert not self.out.exists()

    def test_a_directory_without_recordings(self) -> None:
        (self.here / "notes.txt").write_text("not ECG")
        assert self.score(self.here)[0] == 2

    def test_a_header_without_its_signal(self) -> None:
        header = write_record(self.here)
        header.with_suffix(".dat").unlink()
        reason = "r.hea: signal file r.dat not found in the same folder. Copy it there or correct the header."
        assert self.failed(header) == reason

    def test_a_truncated_signal_file(self) -> None:
        header = write_record(self.here)
        os.truncate(header.with_suffix(".dat"), 900)
        assert (
            self.failed(header)
            == "r.dat: the file has 900 bytes, but its header describes 60000. Copy the complete file again."
        )

    def test_a_unit_that_is_not_known_can_be_given(self) -> None:
        header = write_record(self.here)
        header.write_text(header.read_text().replace("1000/mV", "1000/NU"))
        reason = self.failed(header)
        assert reason.startswith(
            "r.hea: no lead in a unit of voltage (its unit NU is not a known unit of voltage). Give"
        )
        options = ("--out", self.out, "--model", self.model, "--unit", "mV")
        assert run("score", header, *options, capsys=self.capsys)[0] == 0
        row = summary(self.out)["r"]
        assert row["status"] == "scored"
        assert row["notes"] == "leads MLII, V1 are read in mV, as given: the file has no known unit"

    def test_a_diary_can_be_given_for_one_recording_and_what_it_says_shown(self) -> None:
        header = write_record(self.here)
        diary = self.here / "diary.csv"
        options = ("--out", self.out, "--model", self.model, "--mark-text", "--diary", diary)
        status, _, said = run("score", header, *options, capsys=self.capsys)
        assert (status, said) == (2, f"ectopy: --diary {diary}: no such file. Check its path.\n")
        diary.write_text("time,text\n5,dizzy\n")
        assert run("score", header, *options, capsys=self.capsys)[0] == 0
        assert "dizzy" in (self.out / "r" / "report.html").read_text()
        write_record(self.here, "s")
        status, _, said = run("score", self.here, *options, capsys=self.capsys)
        assert status == 2
        assert "it belongs to one recording, but 2 were found." in said

    def test_a_header_that_names_no_lead(self) -> None:
        (self.here / "r.hea").write_text("r 0 250 15000\n")
        reason = "r.hea: the header describes no lead. Correct the numbers in the first line."
        assert self.failed(self.here / "r.hea") == reason

    def test_a_text_file_named_as_a_header(self) -> None:
        (self.here / "letter.hea").write_text("Dear reader,\nall is well.\n")
        reason = (
            "letter.hea: not a WFDB header (the first line describes no record). "
            "Correct the line, or rename the file."
        )
        assert self.failed(self.here / "letter.hea") == reason

    @pytest.mark.parametrize("name", ["../r.dat", "/etc/hostname", "..\\r.dat"])
    def test_a_signal_file_outside_the_folder(self, name: str) -> None:
        header = write_record(self.here)
        (self.here.parent / "r.dat").write_bytes((self.here / "r.dat").read_bytes())
        header.write_text(header.read_text().replace("r.dat", name))
        reason = (
            "r.hea: the header names a file outside its own folder. "
            "Copy the file next to the header and write only its name."
        )
        assert self.failed(header) == reason

    def test_a_named_file_that_is_no_recording(self) -> None:
        (self.here / "photo.jpg").write_bytes(b"\xff\xd8\xff")
        reason = (
            "photo.jpg: Unsupported file format. "
            "Supported: WFDB, EDF, ISHNE, DICOM, SCP, aECG, Sierra, CSV, Parquet."
        )
        assert self.failed(self.here / "photo.jpg") == reason

    def test_every_sample_missing(self) -> None:
        row = self.scored(np.full((15_000, 2), np.nan))
        assert (row["n_beats"], row["analysable_s"]) == ("0", "0.0")
        assert row["findings"].endswith("not analysable: every sample is missing")

    def test_a_flat_signal(self) -> None:
        row = self.scored(np.full((15_000, 2), 0.25))
        assert (row["n_beats"], row["analysable_s"]) == ("0", "0.0")
        assert row["findings"].endswith("not analysable: the signal is flat")

    def test_two_seconds(self) -> None:
        assert self.scored(signal_of()[:500])["duration_s"] == "2.0"

    def test_one_lead_only(self) -> None:
        assert int(self.scored(signal_of()[:, :1])["n_beats"]) > 50

    @pytest.mark.parametrize("fs", [100.0, 1000.0])
    def test_slow_and_fast_recorders(self, fs: float) -> None:
        from scipy.signal import resample_poly

        row = self.scored(resample_poly(signal_of(), round(fs), 250, axis=0, padtype="edge"), fs)
        assert (row["duration_s"], int(row["n_beats"]) > 50) == ("60.0", True)

    def test_two_recordings_of_one_name(self) -> None:
        for place in ("a", "b"):
            write_record(self.here / place, "100")
        assert self.score(self.here)[0] == 0
        assert {name: row["path"] for name, row in summary(self.out).items()} == {
            "100": str(self.here / "a" / "100.hea"),
            "100-2": str(self.here / "b" / "100.hea"),
        }

    def test_an_output_directory_that_is_a_file(self) -> None:
        self.out.write_text("mine")
        status, said = self.score(write_record(self.here))
        assert (status, len(said.splitlines())) == (1, 2)  # the model, the reason
        assert self.out.read_text() == "mine"


Start = Callable[..., "subprocess.Popen[bytes]"]


class TestKilled:
    @pytest.fixture
    def start(self) -> Iterator[Start]:
        started: list[subprocess.Popen[bytes]] = []
        # A shell's background job ignores Ctrl-C, and so would all that it starts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)

        def start(*arguments: str | Path) -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", "ectopy", *map(str, arguments)]
            process = subprocess.Popen(
                command,
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            started.append(process)
            return process

        yield start
        signal.signal(signal.SIGINT, before)
        for process in started:
            process.kill()
            process.wait()

    def wait_for(self, out: Path, pattern: str) -> None:
        deadline = time.monotonic() + 90
        while not list(out.glob(pattern)):
            assert time.monotonic() < deadline, f"no {pattern} in {out}"
            time.sleep(0.02)

    def processes(self) -> list[tuple[int, int, str]]:
        """Process, parent and command line of all that are alive."""
        command = ["ps", "-ww", "-eo", "pid,ppid,stat,args"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [line.split(maxsplit=3) for line in listed.splitlines()[1:]]
        return [(int(pid), int(parent), args) for pid, parent, state, args in rows if state[0] != "Z"]

    def workers(self, run: "subprocess.Popen[bytes]") -> list[int]:
        return [pid for pid, parent, args in self.processes() if parent == run.pid and "spawn_main" in args]

    def test_the_next_run_ends_what_a_killed_one_began(
        self, tmp_path: Path, out: Path, model: Path, start: Start
    ) -> None:
        for number in range(12):
            write_record(tmp_path / "in", f"r{number:02d}")
        arguments = ("score", tmp_path / "in", "--out", out, "--model", model, "--workers", "2")
        process = start(*arguments)
        self.wait_for(out, "r*/summary.json")
        workers = self.workers(process)
        process.kill()
        assert len(workers) == 2
        process.wait()
        deadline = time.monotonic() + 30
        while alive := {pid for pid, *_ in self.processes()} & set(workers):
            assert time.monotonic() < deadline, f"{alive} outlive the run"
            time.sleep(0.05)
        done = {path.parent.name for path in out.glob("r*/summary.json")}
        ran = ectopy(*arguments)
        assert ran.returncode == 0
        assert {name for name, row in summary(out).items() if row["status"] == "skipped"} == done
        assert len(summary(out)) == 12
        assert not list(out.glob(".*"))

    def test_a_worker_that_dies_takes_one_recording_with_it(
        self, tmp_path: Path, out: Path, model: Path, start: Start
    ) -> None:
        for number in range(12):
            write_record(tmp_path / "in", f"r{number:02d}")
        process = start("score", tmp_path / "in", "--out", out, "--model", model, "--workers", "2")
        self.wait_for(out, "r*/summary.json")
        os.kill(self.workers(process)[0], signal.SIGKILL)  # as the kernel does when memory runs out
        assert process.wait(timeout=120) == 1
        failed = [row for row in summary(out).values() if row["status"] == "failed"]
        assert [row["reason"] for row in failed] == [
            "the worker process died, perhaps for lack of memory. Try fewer workers."
        ]
        assert len(summary(out)) == 12

    def test_a_run_broken_off_keeps_what_was_done(
        self, tmp_path: Path, out: Path, model: Path, start: Start
    ) -> None:
        for number in range(300):
            write_record(tmp_path / "in", f"r{number:03d}")
        process = start("score", tmp_path / "in", "--out", out, "--model", model, "--workers", "1")
        self.wait_for(out, "r*/summary.json")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) != 0
        assert 1 <= len(summary(out)) < 300
