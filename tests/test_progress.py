"""How far a flow is: a line for each step in a log, one bar on a terminal."""

import io
import logging
import sys

import pytest

from ectopy.flows.progress import progress


def test_a_log_has_a_line_at_the_start_and_for_each_step(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ectopy"), progress("reading records", 2) as step:
        assert caplog.messages == ["reading records: 0 of 2"]
        step("mitdb/101")
        step("mitdb/106")
    assert caplog.messages[1:] == [
        "reading records: 1 of 2, mitdb/101",
        "reading records: 2 of 2, mitdb/106",
    ]


def test_a_terminal_has_a_bar_and_the_log_is_empty(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    with caplog.at_level(logging.INFO, "ectopy"), progress("training", 2) as step:
        step("fold 0, network 1, epoch 3, loss 0.12 [bold]")
    assert "training: fold 0, network 1, epoch 3, loss 0.12 [bold]" in terminal.getvalue()
    assert "1/2" in terminal.getvalue()
    assert caplog.messages == []
