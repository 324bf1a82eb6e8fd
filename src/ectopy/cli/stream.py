"""The command ``ectopy stream``."""

import os
import secrets
import signal
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ectopy.cli.common import DataDir, fail, load_settings, print_message, split_names
from ectopy.cli.review import bound
from ectopy.parallel.blas_threads import limit_blas_threads

if TYPE_CHECKING:
    from ectopy.batch.planning import ScoreOptions
    from ectopy.ecg import Signal
    from ectopy.live.network import LiveModel
    from ectopy.settings import Settings
    from ectopy.streaming.session import Listener
    from ectopy.streaming.sources import Source, Stop

FASTEST = 100.0
"""Greatest speed that a page can show."""
USUAL_PORT = 8766


class Raw(StrEnum):
    """Types of raw numbers."""

    INT16 = "int16"
    FLOAT32 = "float32"


def stream(  # noqa: PLR0913, PLR0917 - one parameter for each option
    recording: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="Recording to play, or - for standard input."),
    ] = None,
    lsl: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Stream of the Lab Streaming Layer. Needs ectopy[live]."),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(help="Speed of a recording: 1, 10, or max. [default: max; with --page 1]"),
    ] = None,
    fs: Annotated[
        float | None,
        typer.Option(
            min=1.0, metavar="HZ", help="Sampling rate of standard input, or of a file without one."
        ),
    ] = None,
    raw: Annotated[
        Raw | None, typer.Option(help="Standard input is raw numbers, little endian, not CSV.")
    ] = None,
    gain: Annotated[float, typer.Option(min=1e-6, help="Units per mV of raw int16.")] = 200.0,
    leads: Annotated[
        str | None, typer.Option(help="Leads to analyse, such as II,V1. Of raw numbers: all leads.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Directory of a streaming model. [default: the shipped one]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results at the end, as `ectopy score` writes them.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Show the running signal in the browser. Needs ectopy[live].")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port on 127.0.0.1. [default: 8766, or another if it is taken]"),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address of the page only; open no browser.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Analyse a running signal: beats as JSON lines while they occur. Never for alarms or life support."""
    limit_blas_threads()
    if (recording is None) == (lsl is None):
        fail("Which signal? Give a recording, - for standard input, or --lsl NAME.", 2)
    pace = _pace(speed, page=page)
    settings = load_settings(data_dir)
    options, live_model = _options(settings, model, leads)
    if lsl is not None:
        played = _from_lsl(lsl, options)
    elif recording == "-":
        played = _from_standard_input(fs, raw, gain, options)
    else:
        if raw is not None:
            fail(
                "--raw is for numbers on standard input. Leave it out, or give - in place of the recording.",
                2,
            )
        played = _from_file(str(recording), fs, pace, options)
    with _until_stopped() as end, ExitStack() as at_the_end:
        listeners: list[Listener] = [_Lines()]
        if page:
            listeners.append(at_the_end.enter_context(_page(port, no_browser=no_browser)))
        path, stop = _play(played, live_model, listeners, out, end.stopped)
        failed = bool(out) and not _write_results(path, out, played.options, stop)
        if page and not end.stopped.is_set():
            print_message("The signal has ended. Ctrl-C ends the page.")
            end.stopped.wait()
    raise typer.Exit(end.status or int(failed))


class _Played(NamedTuple):
    """What is played: its columns to analyse, how it is scored, and its file if it is one."""

    source: "Source"
    columns: tuple[int, ...]
    options: "ScoreOptions"
    name: str
    file: Path | None = None


class _End:
    """Whether a signal asked for the end, and the status to end with."""

    def __init__(self) -> None:
        from ectopy.streaming.sources import Stop

        self.stopped = Stop()
        self.status = 0

    def ask(self, number: int, _frame: object) -> None:
        """Ask for the end. Ctrl-C is the usual end of a stream, so its status is 0."""
        if self.stopped.is_set():  # asked twice: at once
            raise KeyboardInterrupt
        self.status = 0 if number == signal.SIGINT else 128 + number
        self.stopped.set()


@contextmanager
def _until_stopped() -> Iterator[_End]:
    """Catch Ctrl-C and SIGTERM: they end the stream, and all that follows its end is done."""
    end = _End()
    before = {number: signal.signal(number, end.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Lines:
    """Listener that prints JSON lines."""

    def tell(self, document: dict[str, Any]) -> None:
        """Print a line at once."""
        from ectopy.streaming.lines import as_line
        from ectopy.streaming.session import ListenerGoneError

        try:
            print(as_line(document), flush=True)
        except BrokenPipeError as error:  # as of `ectopy stream FILE | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise ListenerGoneError from error

    def show(self, first: int, samples: "Signal") -> None:
        """Do nothing: lines have no samples."""


def _pace(speed: str | None, *, page: bool) -> float:
    """Return the seconds of signal per second."""
    text = speed or ("1" if page else "max")
    try:
        pace = float("inf") if text == "max" else float(text)
    except ValueError:
        pace = 0.0
    if not pace > 0:
        fail(f"--speed {text}: no speed. Give a number above 0, such as 1 or 10, or max.", 2)
    if page and pace > FASTEST:
        fail(f"--speed {text}: too fast for a page. Give {FASTEST:g} at most.", 2)
    return pace


def _options(settings: "Settings", model: str | None, leads: str | None) -> "tuple[ScoreOptions, LiveModel]":
    """Return how the signal is scored, and the streaming model."""
    from ectopy.batch import planning
    from ectopy.batch.pseudonyms import from_salt
    from ectopy.criteria import read_criteria
    from ectopy.live.network import LiveModel

    selected = planning.find_model(model or planning.LIVE, settings.data_dir)
    loaded = planning.load_model(selected.folder)
    if not isinstance(loaded, LiveModel):
        fail(
            f"--model {model}: {loaded.name} is not a streaming model. Train one with `ectopy train-live`.", 2
        )
    options = planning.ScoreOptions(
        selected.folder,
        split_names(leads) or (),
        pseudonyms=from_salt(settings.pseudonym_salt),
        model_source=selected.source,
        criteria=read_criteria(settings.criteria),
        mark_text=settings.mark_text,
    )
    return options, loaded


def _from_file(path: str, fs: float | None, pace: float, options: "ScoreOptions") -> _Played:
    from ectopy import pipeline
    from ectopy.batch.planning import display_name
    from ectopy.readers import locate, open_recording
    from ectopy.streaming.sources import play

    recording = open_recording(path, fs=fs)
    columns = pipeline.analysed_columns(recording, options.leads or None)
    source = play(recording, columns, speed=pace)
    name = display_name(recording.name, options)
    return _Played(source, tuple(range(len(columns))), replace(options, fs=fs), name, locate(Path(path)))


def _from_standard_input(fs: float | None, raw: Raw | None, gain: float, options: "ScoreOptions") -> _Played:
    from ectopy.streaming.pipes import csv_source, raw_source

    if fs is None:
        fail("Standard input has no sampling rate. Give --fs HZ.", 2)
    if raw:
        source = raw_source(sys.stdin.buffer, fs, options.leads or ("lead 1",), raw.value, gain=gain)
        return _named(source, replace(options, leads=()))
    return _named(csv_source(sys.stdin.buffer, fs), options)


def _from_lsl(name: str, options: "ScoreOptions") -> _Played:
    from ectopy.streaming.lab_streaming import lsl_source

    print_message(f"looking for the stream {name}")
    return _named(lsl_source(name), options)


def _named(source: "Source", options: "ScoreOptions") -> _Played:
    """Choose the leads of a source that is no file, and name it after the moment at which it begins."""
    import re
    from datetime import UTC, datetime

    from ectopy.beats.lead_selection import choose_leads
    from ectopy.streaming.recorder import header_names

    source = replace(source, leads=header_names(source.leads))
    columns = choose_leads(source.leads, options.leads or None)
    options = replace(options, leads=tuple(source.leads[column] for column in columns))
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{re.sub(r'[^A-Za-z0-9_-]', '_', source.name)[:60]}-{moment}"
    return _Played(source, columns, options, name)


def _play(
    played: _Played,
    model: "LiveModel",
    listeners: "Sequence[Listener]",
    out: Path | None,
    stopped: "Stop",
) -> tuple[Path | None, int | None]:
    """Play what comes; return the file of it, and how much of a file was played if it was not all."""
    from ectopy.live.stream import Stream
    from ectopy.streaming.recorder import Recorder
    from ectopy.streaming.session import Session

    source = played.source
    running = Stream(source.fs, [source.leads[column] for column in played.columns], model=model)
    session = Session(source, running, played.columns, listeners, played.name)
    if played.file or not out:
        is_whole = session.run(stopped)
        return played.file, None if is_whole else running.n_samples
    with Recorder(out / "recorded", played.name, source.fs, source.leads) as recorder:
        session.recorder = recorder
        session.run(stopped)
    return recorder.path, None


def _write_results(path: Path | None, out: Path | None, options: "ScoreOptions", stop: int | None) -> bool:
    """Write the results, and say where they are; return whether it worked."""
    from ectopy.streaming.results import write_results

    if path is None or out is None:
        return True
    row = write_results(path, out, options, stop=stop)
    if row["status"] == "failed":
        print_message(f"{row['recording']}: {row['reason']}")
        return False
    print_message(f"results: {out / str(row['recording']) / 'report.html'}")
    return True


@contextmanager
def _page(port: int | None, *, no_browser: bool) -> "Iterator[Listener]":
    from ectopy.streaming.server import LivePage

    token = secrets.token_urlsafe(24)
    with bound(port, USUAL_PORT) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/?token={token}"
        with LivePage(listening, token) as page:
            print_message(address)
            print_message("Open this address in a browser. Ctrl-C ends the stream.")
            if not no_browser:
                webbrowser.open(address)
            yield page
