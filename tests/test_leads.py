import pytest

from ectopy.ecg import NotAnalysableError
from ectopy.leads import choose_leads


@pytest.mark.parametrize(
    ("recorded", "chosen"),
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
def test_the_usual_holter_leads_are_chosen_by_name_and_else_by_order(recorded, chosen):
    assert tuple(recorded[column] for column in choose_leads(recorded)) == chosen


def test_wanted_leads_come_in_the_order_wanted():
    assert choose_leads(("MLII", "V1", "V5"), ("V5", "mlii")) == (2, 0)


def test_a_wanted_lead_matches_its_holter_variant():
    assert choose_leads(("MLII", "V1"), ("II",)) == (0,)


def test_an_exact_name_is_preferred_to_a_variant():
    assert choose_leads(("MLII", "II"), ("II",)) == (1,)


@pytest.mark.parametrize("wanted", [("II", "V1", "V5"), ("II", "II"), ("II", "MLII")])
def test_more_leads_than_are_read_or_one_twice_are_refused_not_dropped(wanted):
    with pytest.raises(NotAnalysableError, match="at most 2 different leads expected"):
        choose_leads(("MLII", "V1", "V5"), wanted)


def test_no_lead_is_analysed_twice():
    assert len(set(choose_leads(("V5", "I")))) == 2


def test_a_lead_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(NotAnalysableError, match="lead aVF wanted, the recording has MLII, V1"):
        choose_leads(("MLII", "V1"), ("aVF",))
