import numpy as np
import pytest

from ectopy.beats.lead_selection import choose_leads, disconnected_leads
from ectopy.ecg import (
    N_SEGMENTS,
    SEGMENT_S,
    VALUES_AT_ONCE,
    NotAnalysableError,
    Recording,
    recording_of,
    sample_segments,
)

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
CHEST = frozenset(range(6, 12))


def recorded(*, off=frozenset(), minutes=2.0, leads=TWELVE, fs=250, value=0.0):
    signal = np.random.default_rng(1).normal(size=(round(minutes * 60 * fs), len(leads))).astype(np.float32)
    signal[:, sorted(off)] = value
    return recording_of(signal, fs, leads=leads)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("MLII", "V1"), ("MLII", "V1")),
        (("V5", "MLII"), ("MLII", "V5")),  # mitdb 114 has its leads swapped
        (("V5", "V2"), ("V5", "V2")),  # mitdb 102 has no MLII
        (("ECG1", "ECG2"), ("ECG1", "ECG2")),  # names that say nothing keep their order
        (("ECG",), ("ECG",)),
        (("V1",), ("V1",)),
        (("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"), ("II", "V1")),
        (("ECG I", "ECG II", "Lead V1"), ("ECG II", "Lead V1")),
        (("II", "II"), ("II", "II")),
        (("x", "y", "z"), ("x", "y")),
    ],
)
def test_the_usual_holter_leads_are_chosen_by_name_and_else_by_order(names, chosen):
    assert tuple(names[column] for column in choose_leads(names)) == chosen


def test_wanted_leads_come_in_the_order_wanted():
    assert choose_leads(("MLII", "V1", "V5"), ("V5", "mlii")) == (2, 0)


def test_a_wanted_lead_matches_its_holter_variant():
    assert choose_leads(("MLII", "V1"), ("II",)) == (0,)


def test_a_wanted_lead_that_was_left_out_is_refused_with_the_reason():
    notes = ("lead III is left out: it has no physical range", "the file has no date")
    with pytest.raises(NotAnalysableError) as refused:
        choose_leads(("II", "V1"), ("III",), notes=notes)
    assert str(refused.value) == (
        "the recording has no lead III (lead III is left out: it has no physical range). Name leads among II, V1."
    )


def test_an_exact_name_is_preferred_to_a_variant():
    assert choose_leads(("MLII", "II"), ("II",)) == (1,)


@pytest.mark.parametrize("wanted", [("II", "V1", "V5"), ("II", "II"), ("II", "MLII")])
def test_more_leads_than_are_read_or_one_twice_are_refused_not_dropped(wanted):
    with pytest.raises(
        NotAnalysableError, match=r"cannot analyse the leads .*\. Name at most 2 different leads"
    ):
        choose_leads(("MLII", "V1", "V5"), wanted)


def test_no_lead_is_analysed_twice():
    assert len(set(choose_leads(("V5", "I")))) == 2


def test_the_error_for_an_unknown_lead_names_the_leads():
    with pytest.raises(NotAnalysableError, match=r"no lead aVF\. Name leads among MLII, V1\."):
        choose_leads(("MLII", "V1"), ("aVF",))


@pytest.mark.parametrize("value", [0.0, -1000.0, np.nan])
def test_disconnected_leads_are_found_whatever_their_value(value):
    assert disconnected_leads(recorded(off=CHEST, value=value)) == CHEST


@pytest.mark.parametrize(
    ("off", "chosen"),
    [
        (CHEST, ("II", "III")),  # as in the SCP-ECG file of the examples: its chest leads were not placed
        ({1}, ("V5", "V1")),
        ({0, 1, 2, *CHEST}, ("aVR", "aVL")),
        (set(range(11)), ("V6",)),
    ],
)
def test_an_electrode_that_is_off_leaves_its_place_to_another_lead(off, chosen):
    disconnected = disconnected_leads(recorded(off=off))
    assert tuple(TWELVE[column] for column in choose_leads(TWELVE, disconnected=disconnected)) == chosen


def test_a_lead_that_is_wanted_is_analysed_though_it_is_off():
    assert choose_leads(TWELVE, ("V1",), disconnected=CHEST) == (6,)


def test_where_every_lead_is_off_the_usual_ones_are_chosen():
    everything = recorded(off=frozenset(range(12)))
    assert choose_leads(TWELVE, disconnected=disconnected_leads(everything)) == choose_leads(TWELVE) == (1, 6)


def test_a_lead_that_is_off_for_less_than_half_of_the_time_is_not_disconnected():
    signal = recorded().read(0, 30_000).copy()
    signal[20_000:, 1] = 0  # the last third
    assert not disconnected_leads(recording_of(signal, 250, leads=TWELVE))
    signal[10_000:, 1] = 0  # two thirds
    assert disconnected_leads(recording_of(signal, 250, leads=TWELVE)) == {1}


def test_two_leads_leave_no_choice_and_are_not_read():
    def unread(start, stop):
        raise AssertionError

    assert not disconnected_leads(Recording("two", 250.0, ("II", "V1"), 10**6, unread))


def test_an_empty_recording_of_twelve_leads_has_no_disconnected_ones():
    assert not disconnected_leads(recorded(minutes=0))


def test_a_few_segments_are_enough_for_two_weeks():
    requests = []

    def read(start, stop):
        requests.append((start, stop))
        return np.zeros((stop - start, 3), dtype=np.float32)

    n_samples = 14 * 86_400 * 250
    assert (
        len(list(sample_segments(Recording("fortnight", 250.0, ("I", "II", "III"), n_samples, read))))
        == N_SEGMENTS
    )
    assert (requests[0][0], requests[-1][1]) == (0, n_samples)
    assert {stop - start for start, stop in requests} == {round(SEGMENT_S * 250)}


def test_the_segments_of_two_thousand_leads_are_shorter_but_show_a_flat_lead():
    requests = []

    def read(start, stop):
        requests.append((stop - start) * 2048)
        return np.zeros((stop - start, 2048), dtype=np.float32)

    recording = Recording("map", 2000.0, tuple(map(str, range(2048))), 60 * 2000, read)
    assert len(list(sample_segments(recording))) == N_SEGMENTS
    assert max(requests) <= VALUES_AT_ONCE
    assert min(requests) >= 2 * 2000 * 2048  # the two seconds after which a lead counts as flat
