"""Names of leads: find the ECG lead that a label or a code stands for, if it stands for one."""

import re

# By number, SCP-ECG (EN 1064) table of lead identification, which DICOM and MDC (ISO/IEEE 11073-10102) share.
_SCP_LEADS = """
unspecified I II V1 V2 V3 V4 V5 V6 V7 V2R V3R V4R V5R V6R V7R X Y Z CC5 CM5 LA RA LL fI fE fC fA fM fF fH
dI dII dV1 dV2 dV3 dV4 dV5 dV6 dV7 dV2R dV3R dV4R dV5R dV6R dV7R dX dY dZ dCC5 dCM5 dLA dRA dLL dfI dfE
dfC dfA dfM dfF dfH III aVR aVL aVF -aVR V8 V9 V8R V9R D A J Defib Extern A1 A2 A3 A4 dV8 dV9 dV8R dV9R dD
dA dJ Chest V VR VL VF MCL MCL1 MCL2 MCL3 MCL4 MCL5 MCL6 CC CC1 CC2 CC3 CC4 CC6 CC7 CM CM1 CM2 CM3 CM4 CM6
dIII daVR daVL daVF d-aVR dChest dV dVR dVL dVF CM7 CH5 CS5 CB5 CR5 ML AB1 AB2 AB3 AB4 ES AS AI S dDefib
dExtern dA1 dA2 dA3 dA4 dMCL1 dMCL2 dMCL3 dMCL4 dMCL5 dMCL6 RL CV5RL CV6LL CV6LU V10 dMCL dCC dCC1 dCC2
dCC3 dCC4 dCC6 dCC7 dCM dCM1 dCM2 dCM3 dCM4 dCM6 dCM7 dCH5 dCS5 dCB5 dCR5 dML dAB1 dAB2 dAB3 dAB4 dES dAS
dAI dS dRL dCV5RL dCV6LL dCV6LU dV10
"""
SCP_LEADS = tuple(_SCP_LEADS.split())

FRANK = frozenset({"X", "Y", "Z"})
"""Leads of a vectorcardiogram (Frank). The axes of an accelerometer have the same names."""
# The name alone does not identify a lead: single letters and words with other meanings.
_AMBIGUOUS = FRANK | {"unspecified", "D", "A", "J", "S", "LA", "RA", "LL", "RL", "A1", "A2", "A3", "A4"}
_AMBIGUOUS |= {"Chest", "Defib", "Extern", "ML", "CC", "CM", "AS", "AI", "ES", "VR", "VL", "VF"}
_PLAIN = [name for name in SCP_LEADS if name not in _AMBIGUOUS and name[0] not in "df"]
# The modified leads of MIT-BIH, and names of limb leads in Romance languages.
_LEAD = {
    name.casefold(): name for name in (*_PLAIN, "MLI", "MLII", "MLIII", *(f"MV{n}" for n in range(1, 7)))
}
_LEAD |= {"di": "I", "dii": "II", "diii": "III", "d1": "I", "d2": "II", "d3": "III", "ml2": "MLII"}

_LONGEST = 100
"""Only so many characters of a label are examined."""
_CALLED_ECG = re.compile(r"(?<![a-z])e[ck]g(?![a-z])|ele[ck]tro[ck]ardio", re.IGNORECASE)
_PREFIX = re.compile(r"^(eeg\s+(?=e[ck]g))?((e[ck]g|lead|derivation)[\s_\-:.#]*)?", re.IGNORECASE)
_SUFFIX = re.compile(r"[\s_\-:./]*(e[ck]g|ref|\(.*\)|\[.*\])$", re.IGNORECASE)
# Signals that are derived from an ECG, or recorded together with it.
_OTHER = re.compile(
    r"""(?<![a-z])(eeg|eog|emg|ecog|ieeg|seeg|resp\w*|pleth\w*|ppg|abp|art|cvp|pap|icp|nibp|bp|spo2|sao2|s[po]02
    |osat|[et]*co2|acc\w*|gyro\w*|flow|airflow|thor\w*|abdo|nasal|therm\w*|snor\w*|pos|position|temp\w*
    |hr|heart\s?rate|pulse|rr|ibi|edr|gsr|eda|scg|bcg|pcg|phono\w*|mark\w*|status|trig\w*|event\w*|sound|light|batt\w*|annotations?
    |n?seq\w*|count\w*|packet\w*|frame\w*|index|timestamp\w*|checksum|crc|rssi|flags?|off|[agm][xyz]
    |imp\w*|quality|noise|loc|roc|chin|leg|tib|pres\w*|press\w*|eye)(?![a-z])""",
    re.IGNORECASE | re.VERBOSE,
)
_PLAIN_ECG = re.compile(r"e[ck]g[\s_\-]*\d{0,2}", re.IGNORECASE)
_NUMBERED = re.compile(r"(ch|chan|channel|lead|signal|holter|deriv)?[\s_\-.#]*(\d{1,2}|[a-c])", re.IGNORECASE)


def lead_of(label: str) -> str | None:
    """Return the lead that a label names: ``ECG II`` and ``Lead II`` are II; None if it is no ECG lead."""
    label = label.strip()[:_LONGEST]
    plain = _SUFFIX.sub("", _PREFIX.sub("", label))
    if lead := _LEAD.get(plain.casefold()):
        return lead
    mentions_ecg = _CALLED_ECG.search(label.replace("_", " "))
    return label if mentions_ecg and not _OTHER.search(_PREFIX.sub("", label).replace("_", " ")) else None


def name_for_notes(label: str, number: int) -> str:
    """Return the name of a lead for notes and messages; free text is not quoted, as it may name a person.

    Parameters
    ----------
    label
        The label of the file.
    number
        Number of the signal in the file, from 1 on.

    Returns
    -------
    The standard name of the lead, a label that only counts, or ``number 3``.
    """
    label = label.strip().removeprefix("lead ")
    lead = lead_of(label)
    if lead in _LEAD.values():
        return str(lead)
    plain = label.upper() in FRANK or _PLAIN_ECG.fullmatch(label) or (label and is_numbered(label))
    return label if plain else f"number {number}"


def is_other(label: str) -> bool:
    """Check whether a label names another signal than an ECG lead, such as respiration or EEG."""
    return lead_of(label) is None and bool(_OTHER.search(label[:_LONGEST].replace("_", " ")))


def is_numbered(label: str) -> bool:
    """Check whether a label is empty or only counts, such as ``Channel 1``; some ECG recorders do so."""
    return not label.strip() or bool(_NUMBERED.fullmatch(label.strip()[:_LONGEST]))


def lead_of_mdc(name: str) -> str:
    """Return the lead of an MDC name such as ``MDC_ECG_LEAD_AVR``; any other name is returned unchanged."""
    short = re.sub(r"^MDC_ECG_(LEAD|ELEC_POTL)_", "", name.strip())
    return _LEAD.get(short.casefold(), short)


def lead_of_number(number: int) -> str | None:
    """Return the lead of a number of the SCP table; None if the table does not have the number."""
    return SCP_LEADS[number] if 0 < number < len(SCP_LEADS) else None
