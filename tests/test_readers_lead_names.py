"""What labels and codes say of a lead."""

import pytest

from ectopy.beats.lead_selection import choose_leads
from ectopy.readers.lead_names import SCP_LEADS, is_numbered, is_other, lead_of, lead_of_mdc, lead_of_number

# EN 1064, table of lead identification: a few numbers from each of its parts.
KNOWN = {
    1: "I",
    2: "II",
    3: "V1",
    8: "V6",
    16: "X",
    20: "CM5",
    61: "III",
    62: "aVR",
    63: "aVL",
    64: "aVF",
    66: "V8",
}
KNOWN |= {92: "MCL1", 131: "ES", 133: "AI", 147: "RL", 151: "V10", 184: "dV10"}


def test_the_table_has_185_numbers_of_which_0_says_nothing() -> None:
    assert len(SCP_LEADS) == 185
    assert {number: lead_of_number(number) for number in KNOWN} == KNOWN
    assert lead_of_number(0) is lead_of_number(185) is lead_of_number(-1) is None


@pytest.mark.parametrize(
    ("label", "lead"),
    [
        ("II", "II"),
        ("ii", "II"),
        ("ECG II", "II"),
        ("ECG_V1", "V1"),
        ("ECG-AVF", "aVF"),
        ("ECGII", "II"),
        ("EKG V5", "V5"),
        ("Lead I", "I"),
        ("lead aVR (mV)", "aVR"),
        ("V4R", "V4R"),
        ("-aVR", "-aVR"),  # Cabrera's, of the other sign
        ("MLII", "MLII"),
        ("MV2", "MV2"),
        ("D3", "III"),
        ("V", "V"),
        ("ECG", "ECG"),
        ("ECG 1", "ECG 1"),
        ("ecg_raw", "ecg_raw"),
        ("Electrocardiogram", "Electrocardiogram"),
        ("EEG EKG1-REF", "EEG EKG1-REF"),
    ],
)
def test_labels_of_leads(label: str, lead: str) -> None:
    assert lead_of(label) == lead
    assert not is_other(label)


@pytest.mark.parametrize(
    "label",
    ["EEG Fpz-Cz", "EOG horizontal", "EMG submental", "Resp oro-nasal", "SaO2", "SpO2 (%)", "PLETH", "ABP", "ART", "CVP",
     "ACC_X", "Accelerometer Y", "Temp rectal", "Event marker", "ECG HR", "ECG quality", "Status", "ECoG 3", "Thor", "CO2"],
)  # fmt: skip
def test_labels_of_something_else(label: str) -> None:
    assert lead_of(label) is None
    assert is_other(label)


@pytest.mark.parametrize("label", ["X", "A1", "LA", "", "3Hz +5/-5 V", "Direct_1", "noise1", "value"])
def test_labels_that_say_neither(label: str) -> None:
    assert lead_of(label) is None


@pytest.mark.parametrize(
    ("label", "counts"), [("CH1", True), ("channel 2", True), ("3", True), ("", True), ("Fp1", False)]
)
def test_labels_that_only_count(label: str, *, counts: bool) -> None:
    assert is_numbered(label) == counts


@pytest.mark.parametrize(
    ("name", "lead"),
    [("MDC_ECG_LEAD_AVR", "aVR"), ("MDC_ECG_LEAD_II", "II"), ("MDC_ECG_LEAD_V3R", "V3R"), ("MDC_ECG_LEAD_MCL1", "MCL1"),
     ("MDC_ECG_LEAD_X", "X"), ("MDC_ECG_LEAD_CONFIG", "CONFIG"), ("MDC_ECG_ELEC_POTL_II", "II")],
)  # fmt: skip
def test_names_of_mdc(name: str, lead: str) -> None:
    assert lead_of_mdc(name) == lead


def test_what_readers_call_leads_the_analysis_knows() -> None:
    names = [lead_of(label) or "" for label in ("ECG V1", "EKG II", "Lead aVR")]
    assert choose_leads(names) == (1, 0)
