"""What the pages are told of a recording: JSON values, and numbers as bytes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ectopy.ecg import Analysis, Event
from ectopy.printable import printable
from ectopy.report.beat_letters import PACED, class_of, shown_letters
from ectopy.report.statistics import Stats, recording_stats, stats
from ectopy.report.templates import bpm as shown_bpm
from ectopy.report.templates import dash
from ectopy.review.changes import find_changes
from ectopy.review.clusters import ClusterDrawing
from ectopy.review.decisions import Decision, beat_question
from ectopy.review.edits import ARTEFACT, Action, Entry, EventRef, LabelSimilar, RelabelBeats, action_name
from ectopy.review.open_review import OpenReview
from ectopy.review.reviewed_events import ReviewedEvent, event_ref
from ectopy.rhythm.heart_rate import HeartRate, heart_rate
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.limits import RATE_INTERVALS
from ectopy.rhythm.named_intervals import RHYTHM_NAMES, named_intervals
from ectopy.rhythm.wording import count, duration

SHOWN_ARTEFACT = "A"
"""Letter of a beat that is an artefact, on the pages; they have a key for each letter."""
NONE = 2**16 - 1
"""Number in place of a cluster or a decision that a beat has not."""
MOST_CHANGES = 12
"""Maximum number of changes that are named before the results are confirmed."""
LOW_CONFIDENCE, REVIEWED = 1, 2
"""Bits of the flags of a beat."""
OUTDATED = (
    "The recording has been scored again since it was confirmed, with other results. They are shown here, "
    "and the confirmed report has those of before. Reopen the results to confirm them anew."
)


def recording_document(review: OpenReview) -> dict[str, Any]:
    """Return all that the pages show of a recording, without signal and beats.

    Parameters
    ----------
    review
        The recording.

    Returns
    -------
    JSON values.
    """
    state, analysis = review.state, review.state.analysis
    past, fs = state.history, analysis.fs
    outdated = (OUTDATED,) if state.is_outdated else ()
    recording = recording_stats(analysis)
    total, rate = stats(recording, 0, analysis.duration_s), heart_rate(*recording.rates)
    return {
        "name": review.stored.name,
        "fs": fs,
        "n_samples": analysis.n_samples,
        "duration_s": analysis.duration_s,
        "start": None if analysis.start is None else analysis.start.isoformat(),
        "leads": [printable(lead) for lead in analysis.leads],
        "signal": review.stored.has_signal,
        "notes": [printable(note) for note in (*review.stored.notes, *review.log.notes, *outdated)],
        "conflicts": [printable(conflict.text) for conflict in state.conflicts],
        "last_id": state.last_id,
        "status": state.status,
        "confirmed_by": past.confirmed.by if past.confirmed else "",
        "undo": "" if past.confirmed else _describe(past.next_undo),
        "redo": "" if past.confirmed else _describe(past.next_redo),
        "figures": list(_figures(total, rate, analysis)),
        "events": [_event(item, fs) for item in state.events],
        "extremes": list(_extremes(rate, analysis)),
        "intervals": [
            {"rhythm": rhythm, "start": round(start_s * fs), "stop": round(stop_s * fs)}
            for rhythm, start_s, stop_s in named_intervals(analysis)
        ],
        "unreadable": analysis.unreadable.tolist(),
        "artefact": analysis.artefact.tolist(),
        "marks": [
            {"sample": round(mark.time_s * fs), "text": printable(mark.text)}
            for mark in analysis.recording.marks
        ],
        "kinds": {
            name: {"title": kind.title, "colour": kind.colour, "rule": kind.stated(analysis.criteria).rule}
            for name, kind in KINDS.items()
        },
        "rhythms": {
            name: {"title": rhythm.title, "colour": rhythm.colour} for name, rhythm in RHYTHM_NAMES.items()
        },
    }


def decisions_document(review: OpenReview) -> list[dict[str, Any]]:
    """Return the open decisions, the most informative first; the beats have their numbers in this list."""
    fs = review.state.analysis.fs
    in_paced = review.state.beats.sample[shown_letters(review.state.analysis) == PACED]
    return [
        {
            "id": f"{decision.cluster} {decision.samples[0]} {len(decision.samples)}"
            if decision.event is None
            else event_id(decision.event, fs),
            "cluster": decision.cluster,
            "event": None if decision.event is None else event_id(decision.event, fs),
            "ref": None if decision.event is None else vars(event_ref(decision.event, fs)),
            "first": None if decision.event else int(decision.samples[0]),
            "n_beats": len(decision.samples),
            **_asked(
                decision, is_paced=decision.event is None and bool(np.isin(decision.samples, in_paced).all())
            ),
        }
        for decision in review.decisions()
    ]


def _asked(decision: Decision, *, is_paced: bool) -> dict[str, str]:
    """Return the question and the proposed answer with the letters of the pages."""
    if not is_paced:
        return {"question": decision.question, "proposal": shown_letter(decision.proposal)}
    proposal = PACED if decision.proposal == class_of(PACED) else decision.proposal
    question = beat_question(len(decision.samples), PACED, proposal)
    return {"question": question, "proposal": shown_letter(proposal)}


def shown_letter(label: str) -> str:
    """Return the letter of a label on the pages."""
    return SHOWN_ARTEFACT if label == ARTEFACT else label


def logged_label(letter: str) -> str:
    """Return the label in the log of a letter on the pages."""
    return ARTEFACT if letter == SHOWN_ARTEFACT else class_of(letter)


def changes_document(review: OpenReview) -> list[str]:
    """Return what the reader has changed, one sentence each."""
    return [printable(text) for text in _shortened(find_changes(review.state).sentences())]


def event_id(event: Event, fs: float) -> str:
    """Name an event on the pages.

    Parameters
    ----------
    event
        The event.
    fs
        Sampling rate of its recording in Hz.

    Returns
    -------
    Its kind, onset and offset in samples.
    """
    return _id(event_ref(event, fs))


def _id(ref: EventRef) -> str:
    return f"{ref.kind} {ref.onset} {ref.offset}"


def _event(item: ReviewedEvent, fs: float) -> dict[str, Any]:
    event, ref = item.event, event_ref(item.event, fs)
    return {
        "id": _id(ref),
        "ref": vars(ref),
        "kind": event.kind,
        "onset": ref.onset,
        "offset": ref.offset,
        "n_beats": event.n_beats,
        "rate_bpm": round(event.rate_bpm, 1) if np.isfinite(event.rate_bpm) else None,
        "status": item.status,
        "strip": item.strip_start,
        "comment": printable(item.comment),
    }


def _figures(total: Stats, rate: HeartRate, analysis: Analysis) -> Iterator[dict[str, str]]:
    """Yield the figures that stand above every page, with the names of the report."""
    share = 100 * analysis.analysable_s / analysis.duration_s if analysis.n_samples else 0.0
    mean, low, high = (str(dash(shown_bpm(bpm))) for bpm in rate[:3])
    yield _figure("Beats", f"{total['n_beats']:,}", "", f"{total['n_low_confidence']:,} with low confidence")
    yield _figure("Mean heart rate", mean, "bpm", f"lowest {low}, highest {high}")
    for name, field in (("Ventricular ectopy", "veb"), ("Supraventricular ectopy", "sveb")):
        burden = total[f"{field}_burden_pct"]
        yield _figure(
            name, f"{total[f'n_{field}']:,}", "" if burden is None else f"{burden:.1f} %", "of beats"
        )
    yield _figure("VT", f"{total['n_vt_runs']:,}", "runs", f"longest {total['longest_vt_beats']} beats")
    burden = total["af_burden_pct"]
    yield _figure(
        "AF or flutter", "\N{EN DASH}" if burden is None else f"{burden:.1f}", "%", "of the time analysed"
    )
    pause = total["longest_pause_s"]
    shown = ("\N{EN DASH}", "") if pause is None else (f"{pause:.1f}", "s")
    yield _figure("Longest pause", *shown, "")
    yield _figure("Analysed", f"{share:.1f}", "%", f"of {duration(analysis.duration_s)}")


def _figure(name: str, value: str, unit: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit, "note": note}


def _extremes(rate: HeartRate, analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Yield the longest pause, the slowest and the fastest rate, each with where it is."""
    time_s, fs = analysis.beats.time_s, analysis.fs
    pauses = sorted(analysis.events_of("pause"), key=lambda event: event.duration_s)
    if pauses:
        text = f"{pauses[-1].duration_s:.1f} s"
        yield _extreme("pause", "Longest pause", text, pauses[-1].onset_s, pauses[-1].offset_s, fs)
    for name, title, bpm, at_s in (
        ("min", "Slowest rate", rate.min_bpm, rate.min_at_s),
        ("max", "Fastest rate", rate.max_bpm, rate.max_at_s),
    ):
        if np.isfinite(bpm):
            first = int(np.searchsorted(time_s, at_s - 0.0005))
            last = min(first + RATE_INTERVALS, len(time_s) - 1)
            yield _extreme(
                name, title, f"{shown_bpm(bpm)} bpm", float(time_s[first]), float(time_s[last]), fs
            )


def _extreme(name: str, title: str, text: str, onset_s: float, offset_s: float, fs: float) -> dict[str, Any]:  # noqa: PLR0913, PLR0917
    return {
        "name": name,
        "title": title,
        "text": text,
        "onset": round(onset_s * fs),
        "offset": round(offset_s * fs),
    }


def _shortened(sentences: Sequence[str]) -> Iterator[str]:
    yield from sentences[:MOST_CHANGES]
    if len(sentences) > MOST_CHANGES:
        yield f"{len(sentences) - MOST_CHANGES:,} more changes"


def _describe(entries: Sequence[Entry]) -> str:
    """Describe an edit and what followed it, for the buttons of undo and redo; "" for none."""
    return " and ".join(_describe_action(entry.action) for entry in entries)


def _describe_action(action: Action) -> str:
    if isinstance(action, LabelSimilar):
        return count(len(action.samples), "similar beat")
    if isinstance(action, RelabelBeats):
        return f"{count(len(action.samples), 'beat')} to {shown_letter(action.to)}"
    return action_name(action).replace("_", " ")


def beats_bytes(review: OpenReview) -> bytes:
    """Return all beats for the pages, also those that a reader called artefact.

    Parameters
    ----------
    review
        The recording.

    Returns
    -------
    Their number n as int32; then n samples as int32, n clusters as uint16, n letters and n flags as uint8.
    """
    state = review.state
    beats = state.beats
    flags = np.uint8(LOW_CONFIDENCE) * ~beats.confident | np.uint8(REVIEWED) * state.by_reader
    at = np.searchsorted(beats.sample, state.artefacts)
    sample = np.insert(beats.sample, at, state.artefacts)
    cluster = review.cluster_of(sample)
    parts = (
        np.array([len(sample)], dtype="<i4"),
        sample.astype("<i4"),
        np.where(cluster < 0, NONE, cluster).astype("<u2"),
        np.insert(shown_letters(state.analysis).astype("S1"), at, SHOWN_ARTEFACT.encode()),
        np.insert(flags, at, REVIEWED),
    )
    return b"".join(part.tobytes() for part in parts)


def asked_bytes(review: OpenReview) -> bytes:
    """Return the beats that the open decisions ask for: their samples as int32, decision after decision."""
    samples = [np.empty(0, dtype=np.int64), *(decision.samples for decision in review.decisions())]
    return np.concatenate(samples).astype("<i4").tobytes()


def clusters_document(review: OpenReview) -> dict[str, Any]:
    """Return what the pages must know to draw the clusters; ``ready`` is False until they are found."""
    drawings = review.drawings
    if review.clusters is None:
        return {"ready": False, "failure": review.failure}
    first = next(iter(drawings.values()), None)
    return {
        "ready": True,
        "arrangement": review.arrangement,
        "fs": review.state.analysis.fs,
        "n_leads": 0 if first is None else first.average.shape[0],
        "length": 0 if first is None else first.average.shape[1],
        "leads": [printable(lead) for lead in review.state.analysis.leads],
        "clusters": [
            {
                "number": number,
                "n_examples": len(drawing.superimposed),
                "samples": drawing.sample.tolist(),
            }
            for number, drawing in sorted(drawings.items())
        ],
    }


def shapes_bytes(review: OpenReview) -> bytes:
    """Return the drawings of all clusters, float32 in mV: of each its average, then its beats."""
    return b"".join(map(_shape_bytes, (drawing for _, drawing in sorted(review.drawings.items()))))


def _shape_bytes(drawing: ClusterDrawing) -> bytes:
    shapes = np.concatenate((drawing.average[None], drawing.superimposed))
    return shapes.astype("<f4").tobytes()
