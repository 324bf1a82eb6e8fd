"""The registry of event kinds: one row each.

A new kind needs its row here, its finder in :mod:`ectopy.rhythm.finders` and its test in
``tests/test_rhythm.py``. Only a kind whose finding is more than a note needs a sentence in
:mod:`ectopy.rhythm.wording`. A row goes into LEADING if its finding can be urgent, or important for its
kind, else into FURTHER.

Everything else follows from the row: ``events.csv``, the annotations, the counts of ``summary.json`` and its
schema, the findings, the report and the table in the documentation (``tools/event_table.py``).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from ectopy.criteria import Criteria
from ectopy.ecg import Analysis, Event
from ectopy.rhythm import finders, wording
from ectopy.rhythm.atrial_fibrillation import STRIP_S
from ectopy.rhythm.atrial_flutter import FASTEST_HZ, SLOWEST_HZ
from ectopy.rhythm.finders import RhythmContext, Spans
from ectopy.rhythm.limits import MOST_PCT, RATE_INTERVALS, RUN_BEATS, SHORT_S, SHORT_VT_S
from ectopy.rhythm.pacing import SHORTEST_S as SHORTEST_PACED_S
from ectopy.rhythm.r_on_t import QTC_S
from ectopy.rhythm.rhythm_events import SHORTEST_S
from ectopy.rhythm.wording import Finding
from ectopy.signal.pacing_spikes import LOWEST_FS

Colour = Literal["ventricular", "supraventricular", "important", "note"]


@dataclass(frozen=True)
class EventKind:
    """One row of the registry.

    ``name`` is the stable name in ``events.csv`` and ``title`` what readers see. ``rule`` and
    ``urgency`` are sentences for the report and the documentation; they name criteria in braces, see
    :meth:`stated`. ``find`` returns the spans of beats of such events. It is None for a kind that is an
    interval without beats, see :mod:`ectopy.rhythm.rhythm_events`. ``describe`` returns their findings;
    without it, the finding is a note with their number and length. ``count`` is the name of their number
    in ``summary.json``. ``colour`` is the class of the mark in the report. ``rhythm`` is the rhythm of
    the intervals that such events are, a key of :data:`ectopy.rhythm.named_intervals.RHYTHM_NAMES`; a
    kind without one is written as a note. ``has_rate`` is False where the rate of the beats means
    nothing. ``lasts`` is True where the hourly table also has the time that such events take in each
    hour. ``has_length`` is False where all events have the same number of beats, so that none is the
    longest. ``is_slow`` is True for a kind that is defined by a low rate, so that the slowest counts and
    not the fastest. ``is_sought`` is False for criteria by which there are no such events.
    """

    name: str
    title: str
    rule: str
    urgency: str
    find: Callable[[RhythmContext], Spans] | None
    count: str
    colour: Colour
    describe: Callable[[Sequence[Event], Analysis], Iterator[Finding]] | None = None
    rhythm: str = ""
    has_rate: bool = True
    lasts: bool = False
    has_length: bool = True
    is_slow: bool = False
    is_sought: Callable[[Criteria], bool] = lambda _criteria: True

    @lru_cache(maxsize=256)  # noqa: B019 - kinds live as long as the process
    def stated(self, criteria: Criteria) -> "EventKind":
        """Return the kind with the values of some criteria in its rule and its urgency."""
        values = vars(criteria)
        return replace(self, rule=self.rule.format_map(values), urgency=self.urgency.format_map(values))


_PATTERN = "{pattern_cycles} or more cycles"
_MEAN = f"mean of {RATE_INTERVALS} intervals"
_RATE_URGENCY = (
    f"important if it takes {MOST_PCT:g} % of a recording of more than {SHORT_S / 60:g} min, else a note"
)

LEADING = (
    EventKind(
        name="vf",
        title="Ventricular flutter or fibrillation",
        rule=f"{SHORTEST_S:g} s or more, from the waves of the signal",
        urgency="urgent",
        find=None,
        describe=wording.ventricular_fibrillation,
        count="n_vf",
        colour="ventricular",
        rhythm="vf",
        has_rate=False,
    ),
    EventKind(
        name="asystole",
        title="Asystole",
        rule="{no_beat_s:g} s or more of signal that shows no beat and is no artefact; "
        f"from {SHORTEST_S:g} s on where no pause was found",
        urgency="urgent",
        find=None,
        describe=wording.asystole,
        count="n_asystole",
        colour="important",
        rhythm="asystole",
        has_rate=False,
    ),
    EventKind(
        name="vt",
        title="Ventricular tachycardia",
        rule="{vt_beats} or more ventricular beats in a row above {vt_bpm:g} bpm; "
        f"or {SHORTEST_S:g} s or more by the waves of the signal",
        urgency="urgent from {sustained_s:g} s or {urgent_vt_beats} beats on, else important; "
        f"a note if shorter than {SHORT_VT_S:g} s and doubtful",
        find=finders.ventricular_tachycardia,
        describe=wording.ventricular_tachycardia,
        count="n_vt_runs",
        colour="ventricular",
        rhythm="vt",
    ),
    EventKind(
        name="pause",
        title="Pause",
        rule="RR interval longer than {pause_s:g} s, or {no_beat_s:g} s of readable signal without a beat",
        urgency="urgent from {urgent_pause_s:g} s on, else a note; from {no_beat_s:g} s on, another finding. "
        "A note if all beats beside it lie in noise; from {no_beat_s:g} s on, important",
        find=finders.pauses,
        describe=wording.pauses,
        count="n_pauses",
        colour="important",
        has_rate=False,
    ),
    EventKind(
        name="af",
        title="Atrial fibrillation",
        rule="RR intervals without any pattern for {af_s:g} s or longer, and no constant P wave; "
        f"in a recording of up to {STRIP_S:g} s, all of it",
        urgency="urgent above {urgent_af_bpm:g} bpm if it lasts so long, else important",
        find=finders.atrial_fibrillation,
        describe=wording.atrial_fibrillation,
        count="n_af",
        colour="note",
        rhythm="af",
        lasts=True,
        is_sought=lambda criteria: criteria.detect_af,
    ),
    EventKind(
        name="afl",
        title="Atrial flutter",
        rule="as atrial fibrillation, but one frequency from "
        f"{60 * SLOWEST_HZ:.0f} to {60 * FASTEST_HZ:.0f} per minute explains the waves between the beats; "
        "not with a constant block",
        urgency="urgent above {urgent_af_bpm:g} bpm if it lasts so long, else important",
        find=finders.atrial_flutter,
        describe=wording.atrial_flutter,
        count="n_afl",
        colour="note",
        rhythm="afl",
        lasts=True,
        is_sought=lambda criteria: criteria.detect_af,
    ),
    EventKind(
        name="sv_run",
        title="Supraventricular run",
        rule="{sv_run_beats} or more supraventricular ectopic beats in a row above {sv_run_bpm:g} bpm",
        urgency="urgent above {sustained_s:g} s, else a note",
        find=finders.supraventricular_runs,
        describe=wording.supraventricular_runs,
        count="n_sv_runs",
        colour="supraventricular",
        rhythm="svt",
    ),
    EventKind(
        name="idioventricular_rhythm",
        title="Idioventricular rhythm",
        rule=f"{RUN_BEATS} or more ventricular beats in a row at {{vt_bpm:g}} bpm or less",
        urgency="important; a note where all are uncertain",
        find=finders.idioventricular_rhythm,
        describe=wording.idioventricular_rhythm,
        count="n_idioventricular_runs",
        colour="ventricular",
        rhythm="idioventricular",
    ),
)
"""Kinds whose findings stand before the burden of ectopic beats, the most urgent first."""

FURTHER = (
    EventKind(
        name="paced",
        title="Paced rhythm",
        rule=f"{SHORTEST_PACED_S:g} s or more in which most beats follow a pacing spike at a steady delay; "
        f"from {LOWEST_FS:g} Hz on, where the filters of the recorder leave the spikes",
        urgency="a note",
        find=finders.paced_rhythm,
        count="n_paced",
        colour="note",
        rhythm="paced",
        lasts=True,
    ),
    EventKind(
        name="short_v_run",
        title="Short ventricular run",
        rule=f"{RUN_BEATS} or more ventricular beats in a row above {{vt_bpm:g}} bpm, "
        "but fewer than ventricular tachycardia has",
        urgency="a note",
        find=finders.short_ventricular_runs,
        describe=wording.short_ventricular_runs,
        count="n_short_v_runs",
        colour="ventricular",
        is_sought=lambda criteria: criteria.vt_beats > RUN_BEATS,
    ),
    EventKind(
        name="veb_couplet",
        title="Ventricular couplet",
        rule="2 ventricular beats in a row",
        urgency="a note",
        find=finders.ventricular_couplets,
        describe=wording.ventricular_couplets,
        count="n_couplets",
        colour="ventricular",
        has_length=False,
    ),
    EventKind(
        name="sveb_couplet",
        title="Supraventricular couplet",
        rule="2 supraventricular ectopic beats in a row",
        urgency="a note",
        find=finders.supraventricular_couplets,
        describe=wording.supraventricular_couplets,
        count="n_sveb_couplets",
        colour="supraventricular",
        has_length=False,
    ),
    EventKind(
        name="r_on_t",
        title="Possible R-on-T",
        rule="ventricular beat before the expected end of QT of the beat before "
        f"(Fridericia, QTc {QTC_S:.2f} s); by timing alone",
        urgency="a note",
        find=finders.r_on_t,
        describe=wording.r_on_t,
        count="n_r_on_t",
        colour="ventricular",
        has_rate=False,
        has_length=False,
    ),
    EventKind(
        name="bigeminy",
        title="Ventricular bigeminy",
        rule="every second beat ventricular, " + _PATTERN,
        urgency="a note",
        find=finders.ventricular_bigeminy,
        count="n_bigeminy",
        colour="ventricular",
        rhythm="bigeminy",
    ),
    EventKind(
        name="trigeminy",
        title="Ventricular trigeminy",
        rule="every third beat ventricular, " + _PATTERN,
        urgency="a note",
        find=finders.ventricular_trigeminy,
        count="n_trigeminy",
        colour="ventricular",
        rhythm="trigeminy",
    ),
    EventKind(
        name="bradycardia",
        title="Bradycardia",
        rule=f"below {{bradycardia_bpm:g}} bpm, {_MEAN}, for {{bradycardia_s:g}} s or longer",
        urgency=_RATE_URGENCY,
        find=finders.bradycardia,
        describe=wording.bradycardia,
        count="n_bradycardia",
        colour="note",
        rhythm="sinus_bradycardia",
        lasts=True,
        is_slow=True,
    ),
    EventKind(
        name="tachycardia",
        title="Tachycardia",
        rule=f"above {{tachycardia_bpm:g}} bpm, {_MEAN}, for {{tachycardia_s:g}} s or longer",
        urgency=_RATE_URGENCY,
        find=finders.tachycardia,
        describe=wording.tachycardia,
        count="n_tachycardia",
        colour="note",
        rhythm="sinus_tachycardia",
        lasts=True,
    ),
    EventKind(
        name="sveb_bigeminy",
        title="Supraventricular bigeminy",
        rule="every second beat supraventricular ectopic, " + _PATTERN,
        urgency="a note",
        find=finders.supraventricular_bigeminy,
        count="n_sveb_bigeminy",
        colour="supraventricular",
        rhythm="sveb_bigeminy",
    ),
)
"""Kinds whose findings stand after the burden of ectopic beats."""

KINDS = {kind.name: kind for kind in (*LEADING, *FURTHER)}
"""Every kind by its name. Where events overlap, the first kind names the rhythm in the annotations."""

ATRIAL = ("af", "afl")
"""Kinds of AF or flutter, which are counted together as the burden of AF."""
