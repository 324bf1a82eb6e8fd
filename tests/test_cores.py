"""Recordings that are analysed side by side leave each other their cores."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import ectopy
from ectopy import pipeline
from ectopy.parallel import blas_threads


def threads() -> set[int]:
    """Those of numpy, and of scipy where something has imported it."""
    return {int(pool["num_threads"]) for pool in ThreadpoolController().info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two() -> Iterator[None]:
    """As on a machine with several cores, whatever this one has."""
    with threadpool_limits(2):
        assert threads() == {2}
        yield


def test_linear_algebra_has_one_thread_meanwhile() -> None:
    with blas_threads.one_blas_thread():
        assert threads() == {1}
    assert threads() == {2}


def test_an_error_takes_the_limit_back() -> None:
    def fail() -> None:
        with blas_threads.one_blas_thread():
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert threads() == {2}


def test_threads_of_others_are_left_alone() -> None:
    """Of two that overlap, the second would see the limit of the first and leave it behind."""
    seen: list[set[int]] = []

    def beside() -> None:
        with blas_threads.one_blas_thread():
            seen.append(threads())

    thread = Thread(target=beside)
    thread.start()
    thread.join()
    assert seen == [{2}]


def test_so_it_has_in_an_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    monkeypatch.setattr(pipeline, "analyse", lambda *_, **__: seen.append(threads()))
    ectopy.analyse(ectopy.recording_of(np.zeros((2000, 1)), 250))
    assert seen == [{1}]
    assert threads() == {2}


def test_a_command_says_so_before_numpy_is_there() -> None:
    told = "from ectopy.parallel.blas_threads import limit_blas_threads as limit; limit(); import numpy, os, sys; "
    told += "from threadpoolctl import threadpool_info as t; print({p['num_threads'] for p in t()})"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    printed = subprocess.check_output([sys.executable, "-c", told], env=environment, text=True)
    assert printed.strip() == "{1}"


def test_the_threads_are_part_of_what_rounds_its_sums() -> None:
    with blas_threads.one_blas_thread():
        alone = blas_threads.blas_in_use()
    assert alone != blas_threads.blas_in_use()


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="names kernels of such a processor")
def test_so_are_the_kernels() -> None:
    code = "import numpy; from ectopy.parallel.blas_threads import blas_in_use as used; print(used())"
    printed = {
        subprocess.check_output([sys.executable, "-c", code], env=os.environ | {"OPENBLAS_CORETYPE": kernels})
        for kernels in ("Prescott", "Nehalem")
    }
    assert len(printed) == 2
