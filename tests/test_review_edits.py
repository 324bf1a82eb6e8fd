"""Edits as JSON: every action comes back as it was, and what makes no sense is refused by name."""

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from ectopy.review.edits import (
    ACTIONS,
    AcceptEvent,
    AddEvent,
    ChooseStrip,
    Comment,
    Confirm,
    DeleteBeats,
    EditError,
    Entry,
    EventRef,
    ExcludeRates,
    InsertBeat,
    LabelSimilar,
    MarkInterval,
    MoveEvent,
    Redo,
    RejectEvent,
    RelabelBeats,
    RelabelEvent,
    Reopen,
    Undo,
    action_from_json,
    action_name,
    action_to_json,
    entry_schema,
)
from tests.edited import BASE, entries_of

VT = EventRef("vt", 500, 900)
BEATS = np.array([100, 200, 300])
ONE_OF_EACH = (
    RelabelBeats(BEATS, "V", "NNS"),
    LabelSimilar(BEATS, "VVN", "NNS"),
    InsertBeat(250, "S"),
    DeleteBeats(BEATS, "NN|"),
    MarkInterval(0, 1000, "artefact"),
    ExcludeRates(100, 200),
    AcceptEvent(VT),
    RejectEvent(VT),
    RelabelEvent(VT, "sv_run"),
    MoveEvent(VT, 480, 910),
    AddEvent("pause", 1000, 1300),
    ChooseStrip(VT, 300),
    Comment(VT, "seen with Dr \N{GREEK SMALL LETTER ALPHA}"),
    Comment(None, "noisy night"),
    Undo(1),
    Redo(1),
    Confirm(93.5),
    Reopen(),
)


def test_every_action_has_an_example_here():
    assert {action_name(action) for action in ONE_OF_EACH} == set(ACTIONS)


@pytest.mark.parametrize("action", ONE_OF_EACH, ids=str)
def test_an_entry_is_a_line_that_its_schema_describes_and_that_is_read_as_written(action):
    (entry,) = entries_of([action])
    line = entry.to_line()
    assert line.count(b"\n") == 1
    jsonschema.validate(json.loads(line), entry_schema())
    again = Entry.from_line(line)
    assert again.to_line() == line
    assert action_to_json(again.action) == action_to_json(action)


def test_the_schema_knows_the_actions_and_no_others():
    branches = entry_schema()["oneOf"]
    assert [branch["properties"]["action"]["const"] for branch in branches] == list(ACTIONS)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"action": "erase"}, "action: not one of"),
        ("confirm", "action: not one of"),
        ({"action": ["undo"]}, "action: not one of"),
        ({"action": "undo"}, "undo: give entry, and nothing else"),
        ({"action": "reopen", "why": "?"}, "reopen: give no fields, and nothing else"),
        ({"action": "undo", "entry": -1}, "undo.entry: give a whole number"),
        ({"action": "undo", "entry": True}, "undo.entry: give a whole number"),
        ({"action": "undo", "entry": 2**60}, "undo.entry: give a whole number"),
        ({"action": "insert_beat", "sample": 10, "label": "A"}, "insert_beat.label: give one of N S V F Q |"),
        ({"action": "relabel_beats", "samples": [], "to": "V", "was": ""}, "relabel_beats.samples"),
        ({"action": "relabel_beats", "samples": [3, 2], "to": "V", "was": "NN"}, "in increasing order"),
        ({"action": "relabel_beats", "samples": [2, 2.5], "to": "V", "was": "NN"}, "whole numbers"),
        ({"action": "relabel_beats", "samples": [2, 3], "to": "V", "was": "N"}, "a letter for each of the 2"),
        (
            {"action": "label_similar", "samples": [2, 3], "labels": "V", "was": "NN"},
            "label_similar.labels: give a letter for each of the 2",
        ),
        ({"action": "delete_beats", "samples": [2], "was": "x"}, "delete_beats.was: give a letter"),
        (
            {"action": "mark_interval", "start": 5, "stop": 5, "rhythm": "af"},
            "stop: give a sample after start",
        ),
        ({"action": "mark_interval", "start": 5, "stop": 9, "rhythm": "tango"}, "rhythm: give one of"),
        ({"action": "add_event", "kind": "vt", "onset": 9, "offset": 5}, "offset: give a sample after onset"),
        ({"action": "accept_event", "event": None}, "accept_event.event: give kind, onset, offset"),
        ({"action": "accept_event", "event": {"kind": "vt"}}, "accept_event.event: give kind, onset, offset"),
        ({"action": "comment", "event": None, "text": "x" * 2001}, "at most 2000 characters"),
        ({"action": "confirm", "seconds": float("nan")}, "confirm.seconds: give seconds"),
    ],
)
def test_what_makes_no_sense_is_refused_by_the_name_of_the_field(values, problem):
    with pytest.raises(EditError) as refused:
        action_from_json(values)
    assert problem in str(refused.value)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"null", b'{"id": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_line_that_is_no_entry_is_refused(line):
    with pytest.raises(EditError):
        Entry.from_line(line)


def test_an_entry_needs_a_number_and_texts():
    line = entries_of([Undo(1)])[0].to_line()
    for wrong in (
        line.replace(b'"id":1', b'"id":"1"'),
        line.replace(BASE.encode(), b"").replace(b'""', b"7"),
    ):
        with pytest.raises(EditError, match="not a number and texts"):
            Entry.from_line(wrong)


def test_a_comment_cannot_hide_control_characters():
    comment: Any = action_from_json({"action": "comment", "event": None, "text": "a\x1b[2Jb\u202ec"})
    assert "\x1b" not in comment.text
    assert "\u202e" not in comment.text
