"""Where the true databases are, for the tests marked ``real``."""

import gc
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from ectopy.datasets import catalogue
from ectopy.parallel.blas_threads import limit_blas_threads
from tests.faulty_server import FaultyServer, serving
from tests.untraced import follow_only_ectopy

ROOT = Path(__file__).resolve().parent.parent


limit_blas_threads()  # before numpy is imported: its threads would wait for each other
threadpool_limits(1, user_api="blas")  # without workers, a plugin has imported numpy already
# Tests start many processes. Without bytecode each compiles Keras, MLflow and Prefect again, for up to 20 s.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A busy machine takes longer than the 200 ms that Hypothesis allows an example: that is no error of ectopy.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")


# When Prefect sets logging up, the handler of absl, which Keras brings, closes the stream it found as stderr: that
# of pytest. It leaves the true one open.
with suppress(ImportError):
    from absl import logging as absl_logging

    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__


def pytest_configure(config: pytest.Config) -> None:
    """Have what JAX compiles kept for all tests, and for the processes that they start: half of their time.

    Networks of tests are so small that optimising their programs takes longer than running them, and that the
    older way of XLA to write them takes half as long as the newer.
    """
    if hasattr(config, "workerinput"):
        return  # a worker of xdist, whose environment is that of the main process
    folder = tempfile.TemporaryDirectory(prefix="ectopy-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ |= {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false",
        "JAX_COMPILATION_CACHE_DIR": folder.name,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


@cache
def runs_flows(file: Path) -> bool:
    """Return whether a file of tests needs a Prefect server, whose start takes 20 seconds of a core."""
    return "prefect_harness" in file.read_text(encoding="utf-8")


class OneServer(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives all files that need a Prefect server to one process, and every other file to any."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "flows" if runs_flows(ROOT / file) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneServer:
    """Have the files of tests divided among the processes."""
    return OneServer(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of flows first: they take one process half of the whole time."""
    items.sort(key=lambda item: not runs_flows(item.path))


def pytest_collection() -> None:
    """Keep coverage, which has begun, to the code of ectopy."""
    follow_only_ectopy()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what was imported out of what the garbage collector looks at."""
    gc.freeze()
    gc.set_threshold(50_000)  # tests make many objects that last


def database(name: str, version: str = "") -> Path:
    """Find a database under ECTOPY_SOURCE (when a directory) or data/; skip, saying why, without it.

    The version is that of the catalogue, unless another folder is asked for.
    """
    version = version or catalogue.find_database(name).version
    for base in (Path(os.environ.get("ECTOPY_SOURCE", "-")), ROOT / "data"):
        folder = base / name / version
        if (folder / "RECORDS").is_file():
            return folder
    pytest.skip(
        f"{name} {version} is neither under ECTOPY_SOURCE nor in data/; `ectopy ingest {name}` fetches it"
    )


@pytest.fixture(scope="session")
def formats() -> Path:
    """Find recordings in other formats: ECTOPY_FORMATS, or a folder ``formats`` near that of ECTOPY_SOURCE."""
    source = Path(os.environ.get("ECTOPY_SOURCE", "-"))
    for folder in (Path(os.environ.get("ECTOPY_FORMATS", "-")), source.parent.parent / "formats"):
        if (folder / "scp").is_dir():
            return folder
    pytest.skip("recordings in other formats are neither under ECTOPY_FORMATS nor near ECTOPY_SOURCE")


@pytest.fixture(scope="session")
def mitdb() -> Path:
    return database("mitdb")


@pytest.fixture(scope="session")
def nstdb() -> Path:
    return database("nstdb")


@pytest.fixture(scope="session")
def prefect_harness() -> Iterator[None]:
    """Run flows against a Prefect server of the tests' own, one for all of them."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=300):
        yield
        logging.disable(logging.INFO)  # that it stops, told to a stream that pytest has closed by then


@pytest.fixture(scope="session")
def simdb_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of three simulated records, not to be changed."""
    from ectopy.datasets.simulate import simulate_database

    source = tmp_path_factory.mktemp("source")
    simulate_database(source, recordings=3, minutes=0.2, seed=0)
    return source


@pytest.fixture
def server(simdb_source: Path) -> Iterator[FaultyServer]:
    """A server of the simulated source, to be told how to fail."""
    with serving(simdb_source) as server:
        yield server


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, made once: that takes seconds."""
    import mlflow

    from ectopy.registry import model_versions

    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it; it is taken back at the end
        mlflow.set_tracking_uri(f"sqlite:///{database}")
        model_versions.version_by_alias("nothing", "champion")
    return database


@pytest.fixture(scope="module")
def tracking_uri(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking store of a module's own, forgotten afterwards."""
    import mlflow

    database = tmp_path_factory.mktemp("mlruns") / "mlflow.db"
    shutil.copyfile(empty_store, database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        yield f"sqlite:///{database}"
        mlflow.set_tracking_uri("")
        mlflow.set_registry_uri("")
