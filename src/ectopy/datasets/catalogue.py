"""Catalogue of PhysioNet databases: what each holds, whose it is, and what it may be used for.

All of it is data. A record is in one of three groups: training, held out, or left out of both.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType

# de Chazal et al. (2004), IEEE Trans Biomed Eng 51(7). The paced records are in neither. 201 and 202 are the
# same patient, but 201 is in DS1 and 202 in DS2. Metrics on DS2 are therefore also reported without 202.
DS1 = (
    *("101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"),
    *("124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"),
)
DS2 = (
    *("100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210"),
    *("212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234"),
)
PACED = ("102", "104", "107", "217")

LEARNED_USES = ("beats",)
"""The labels that training learns from; see ``Database.uses``."""


class FetchError(ValueError):
    """A file or record that is missing, or differs from what the database publishes."""


class UnknownDatabaseError(FetchError):
    """A database that is not in the catalogue."""


CORRECTIONS = "corrections"
"""Name of the database of recordings that readers have confirmed, which is on this machine only."""


@dataclass(frozen=True)
class Annotator:
    """The annotation files with one suffix, and what they hold; ``audited`` if people checked them."""

    suffix: str
    holds: str
    audited: bool = True


@dataclass(frozen=True)
class Database:
    """A database on PhysioNet. What is not known for certain is left empty.

    Parameters
    ----------
    name
        Its name on PhysioNet.
    title
        Its title.
    version
        Its version.
    subfolder
        The folder below the version in which its records are, if not the version itself.
    license
        Its licence, as an SPDX identifier.
    citation
        The publication that its authors ask to cite.
    doi
        The DOI of the database.
    sampling_rate
        Samples a second; None if not published here.
    leads
        Names of the leads, as in the headers; empty if they differ between records.
    records
        Names of all published records. A mirror may have fewer. Simulated patients have no such list.
    training
        The records that may train, in the order of ``records``.
    left_out
        The records that neither train nor test.
    annotators
        The kinds of annotation files.
    label_files
        Files with labels of many records, such as a label of each strip.
    uses
        The labels it may be used for, each with "training" or "test". "training" includes the test on
        held-out records. The labels are "beats", "rhythm", "waves", "windows" and "strips".
    patients
        Pairs (pattern of record names, patient) for patients with several records; see :func:`patient_of`.
    may_share
        Databases of whose patients it has excerpts, if it is not published which.
    note
        What to know before use, such as quirks of the labels.
    all_train
        Whether all its records may train, where none are published.
    """

    name: str
    title: str
    version: str = "1.0.0"
    subfolder: str = ""
    license: str = "ODC-By-1.0"
    citation: str = ""
    doi: str = ""
    sampling_rate: float | None = None
    leads: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    annotators: tuple[Annotator, ...] = (Annotator("atr", "beats"),)
    label_files: tuple[str, ...] = ()
    uses: Mapping[str, str] = field(default_factory=dict, hash=False)
    patients: tuple[tuple[str, str], ...] = ()
    may_share: tuple[str, ...] = ()
    note: str = ""
    all_train: bool = False

    @property
    def address(self) -> str | None:
        """Where it is published; None for one of this machine."""
        return None if self.all_train else f"https://physionet.org/content/{self.name}/{self.version}/"

    @property
    def held_out(self) -> tuple[str, ...]:
        """The published records that must not train: all except those for training and those left out."""
        others = {*self.training, *self.left_out}
        return tuple(record for record in self.records if record not in others)


def _names(pattern: str, numbers: str) -> tuple[str, ...]:
    """Return a name for each number; ``"1-5/2 8"`` stands for 1, 3, 5 and 8."""
    return tuple(pattern.format(number) for number in _numbers(numbers))


def _numbers(text: str) -> Iterator[int]:
    for part in text.split():
        ends, _, step = part.partition("/")
        first, _, last = ends.partition("-")
        yield from range(int(first), int(last or first) + 1, int(step or 1))


# Number of records of each of incartdb's 32 patients, in order from I01. Source: its file
# files-patients-diagnoses.txt.
_INCART_RECORDS = (
    *(2, 3, 2, 1, 3, 3, 1, 2, 2, 3, 2, 2, 2, 4, 2, 3),
    *(2, 2, 2, 3, 2, 2, 3, 3, 2, 3, 3, 3, 2, 2, 2, 2),
)


def _incart_patients() -> Iterable[tuple[str, str]]:
    for patient, (last, count) in enumerate(
        zip(accumulate(_INCART_RECORDS), _INCART_RECORDS, strict=True), 1
    ):
        numbers = "|".join(f"{number:02d}" for number in range(last - count + 1, last + 1))
        yield f"I({numbers})", f"incartdb/patient {patient}"


def _afpdb_patients() -> Iterable[tuple[str, str]]:
    """Yield the patients of afpdb: an odd record, the even one after it, and what follows each."""
    for group, count in (("n", 50), ("p", 50), ("t", 100)):
        for number in range(1, count, 2):
            yield f"{group}({number:02d}|{number + 1:02d})c?", f"afpdb/{group}{number:02d}"


# The split of svdb is ectopy's own. Nobody trains on the other 20 records, so that they can tell how a model
# does on patients it has not seen.
_SVDB_TRAINING = (
    "800-802 804-806 809-810 812 822-823 825-829 842-843 846 848-852 854-865 867-870 874-881 884-890 892-894"
)
# So are those of the other databases from which a part of a model may learn.
_VFDB_TRAINING = "418 420-422 425 427 429-430 602 607 611 614"
_CHALLENGE_TRAINING = """
    51-241/2 245-249/2 253 263 267 271 299 301 307 321 339 375 395 397 405 435 439 441 445 459 465 473 509 519
    537 551 585 591 607 619 629 705 777 797 813 829 1003 1063 1085 1151 1169 1239 1247 1253 1273 1275 1289
    1299 1349 1399 1427 1521 1529 1567 1573 1585 1671 1689 1703 1707 1727 1755 1763 1797 1805 1833 1857 1863
    1917 1965 1993 2055 2069 2113 2181 2189 2217 2219 2261 2285 2331 2343 2393 2411 2447 2479 2515 2555 2607
    2609 2717 2735 2785 2805 2811 2821 2829 2833 2855 2903 2953 2955 2961 2989 2997 3039 3093 3117 3121 3149
    3183 3199 3215 3239 3259 3269 3277 3363 3443 3457 3489 3529 3549 3565 3685 3719 3739 3745 3829 3943 4093
    4137 4169 4221 4231 4251 4257 4275 4303 4325 4329 4343 4399 4417 4477 4503 4513 4523 4537 4555 4639 4651
    4671 4673 4685 4699 4701 4707 4735 4767 4805 4819 4843 4853 4873 4899 4913 4941 5023 5053 5063 5089 5163
    5189 5191 5195 5203 5233 5257 5299 5341 5355 5361 5365 5413 5503 5507 5563 5571 5629 5687 5885 6125 6147
    6157 6223 6233 6241 6275 6277 6333 6399 6419 6435 6459 6523 6569 6573 6595 6657 6679 6707 6731 6769 6775
    6781 6803 6817 6841 6875 6897 6935 7001 7015 7027 7075 7109 7111 7127 7173 7183 7269 7309 7313 7331 7385
    7411 7463 7471 7489 7495 7575 7625 7631 7635 7727 7859 7869 7893 7951 7979 8021 8043 8117 8133 8145 8171
    8207 8255 8275 8281
"""
_EDB_RECORDS = """
    103-108 110-116 118-119 121-127 129 133 136 139 147-148 151 154-155 159 161-163 166 170 202-208 210-213
    302-306 403-406 408-411 413 415 417-418 501 509 515 601-607 609-615 704 801 808 817-818 1301-1302 1304
"""
_QTDB_EDB_RECORDS = """
    104 106-107 110-112 114 116 121-122 124 126 129 133 136 166 170 203 210-211 303 405-406 409 411 509
    603-604 606-607 609 612 704
"""
_QTDB_OTHER_RECORDS = """
    30-52 100 102-104 114 116-117 123 213 221 223 230-233 301-302 306-308 310 803 808 811 820-821 840 847 853
    871-873 883 891 14046 14157 14172 15814 16265 16272-16273 16420 16483 16539 16773 16786 16795 17152 17453
"""
_LUDB_LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
_NSTDB_LEVELS = ("e24", "e18", "e12", "e06", "e00", "e_6")

DATABASES: Mapping[str, Database] = MappingProxyType(
    {
        database.name: database
        for database in (
            Database(
                "mitdb",
                "MIT-BIH Arrhythmia Database",
                citation="Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database. "
                "IEEE Eng Med Biol 20(3):45-50 (2001).",
                doi="10.13026/C2F305",
                sampling_rate=360,
                records=tuple(sorted((*DS1, *DS2, *PACED))),
                training=DS1,
                left_out=PACED,
                annotators=(Annotator("atr", "beats, rhythm changes, signal quality"),),
                uses={"beats": "training", "rhythm": "training"},
                patients=(("201|202", "mitdb/201"),),
                note="most records have MLII and V1. 114 has its leads swapped (V5 first). 102 and 104 have "
                "no MLII. Four are paced and left out. The split is DS1 and DS2 of de Chazal et al. (2004)",
            ),
            Database(
                "nstdb",
                "MIT-BIH Noise Stress Test Database",
                citation="Moody GB, Muldrow WE, Mark RG. A noise stress test for arrhythmia detectors. "
                "Computers in Cardiology 11:381-384 (1984).",
                doi="10.13026/C2HS3T",
                sampling_rate=360,
                records=(
                    *(f"{patient}{level}" for patient in ("118", "119") for level in _NSTDB_LEVELS),
                    *("bw", "em", "ma"),
                ),
                left_out=("bw", "em", "ma"),
                annotators=(Annotator("atr", "beats, rhythm changes, signal quality"),),
                uses={"beats": "test"},
                patients=((r"(118|119)e.*", r"mitdb/\1"),),
                note="118 and 119 of mitdb with added noise. bw, em and ma are pure noise without beats",
            ),
            Database(
                "afdb",
                "MIT-BIH Atrial Fibrillation Database",
                citation="Moody GB, Mark RG. A new method for detecting atrial fibrillation using R-R "
                "intervals. Computers in Cardiology 10:227-230 (1983).",
                doi="10.13026/C2MW2D",
                sampling_rate=250,
                leads=("ECG1", "ECG2"),
                records=_names(
                    "{:05d}",
                    "735 3665 4015 4043 4048 4126 4746 4908 4936 5091 5121 5261 6426 6453 6995 7162 7859 "
                    "7879 7910 8215 8219 8378 8405 8434 8455",
                ),
                annotators=(
                    Annotator("atr", "rhythm changes"),
                    Annotator("qrs", "beats", audited=False),
                    Annotator("qrsc", "beats"),
                ),
                uses={"rhythm": "test"},
                note="few records have corrected beats (qrsc). 00735 and 03665 have no signals",
            ),
            Database(
                "svdb",
                "MIT-BIH Supraventricular Arrhythmia Database",
                citation="Greenwald SD. Improved detection and classification of arrhythmias in "
                "noise-corrupted electrocardiograms using contextual information. PhD thesis, Harvard-MIT "
                "Division of Health Sciences and Technology (1990).",
                doi="10.13026/C2V30W",
                sampling_rate=128,
                leads=("ECG1", "ECG2"),
                records=_names("{}", "800-812 820-829 840-894"),
                training=_names("{}", _SVDB_TRAINING),
                annotators=(Annotator("atr", "beats, signal quality"),),
                uses={"beats": "training"},
                patients=(
                    ("876|877", "svdb/876"),
                    ("851|884", "svdb/851"),
                    ("878|879", "svdb/878"),
                ),
                note="supraventricular beats are S, without subtypes. The labels are of mixed quality. There "
                "are no rhythm changes, and 804 appears to be in atrial fibrillation, so no record counts "
                "as free of it. The three shared patients are probable, not published",
            ),
            Database(
                "incartdb",
                "St Petersburg INCART 12-lead Arrhythmia Database",
                citation="Tihonenko V, Khaustov A, Ivanov S, Rivin A, Yakushenko E. St Petersburg INCART "
                "12-lead Arrhythmia Database. PhysioNet (2008).",
                doi="10.13026/C2V88N",
                sampling_rate=257,
                leads=("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"),
                records=_names("I{:02d}", "1-75"),
                uses={"beats": "test"},
                patients=tuple(_incart_patients()),
                note="an algorithm placed the beat annotations in the middle of the QRS of all leads",
            ),
            Database(
                "ltdb",
                "MIT-BIH Long-Term ECG Database",
                citation="MIT-BIH Long-Term ECG Database. PhysioNet (1999).",
                doi="10.13026/C2KS3F",
                sampling_rate=128,
                records=_names("{}", "14046 14134 14149 14157 14172 14184 15814"),
                uses={"beats": "test"},
                note="qtdb has excerpts of these patients",
            ),
            Database(
                "nsrdb",
                "MIT-BIH Normal Sinus Rhythm Database",
                citation="MIT-BIH Normal Sinus Rhythm Database. PhysioNet (1999).",
                doi="10.13026/C2NK5R",
                sampling_rate=128,
                leads=("ECG1", "ECG2"),
                records=_names(
                    "{}",
                    "16265 16272-16273 16420 16483 16539 16773 16786 16795 17052 17453 18177 18184 19088 "
                    "19090 19093 19140 19830",
                ),
                uses={"beats": "test"},
                note="qtdb has excerpts of these patients",
            ),
            Database(
                "edb",
                "European ST-T Database",
                citation="Taddei A, Distante G, Emdin M, Pisani P, Moody GB, Zeelenberg C, Marchesi C. The "
                "European ST-T Database: standard for evaluating systems for the analysis of ST-T changes in "
                "ambulatory electrocardiography. European Heart Journal 13:1164-1172 (1992).",
                doi="10.13026/C2D59Z",
                sampling_rate=250,
                records=_names("e{:04d}", _EDB_RECORDS),
                annotators=(Annotator("atr", "beats, rhythm changes, signal quality, ST and T changes"),),
                uses={"beats": "test"},
                patients=((".*", "edb"),),
                note="90 records of 79 patients. It is not published whose they are, so all are one group",
            ),
            Database(
                "qtdb",
                "QT Database",
                citation="Laguna P, Mark RG, Goldberger AL, Moody GB. A database for evaluation of "
                "algorithms for measurement of QT and other waveform intervals in the ECG. "
                "Computers in Cardiology 24:673-676 (1997).",
                doi="10.13026/C24K53",
                sampling_rate=250,
                records=(
                    *_names("sel{}", _QTDB_OTHER_RECORDS),
                    *_names("sele{:04d}", _QTDB_EDB_RECORDS),
                ),
                annotators=(
                    Annotator("atr", "beats"),
                    Annotator("man", "beats with waves by hand"),
                    Annotator("q1c", "P, QRS and T waves"),
                    Annotator("q2c", "P, QRS and T waves"),
                    Annotator("pu", "P, QRS and T waves", audited=False),
                ),
                uses={"waves": "test"},
                patients=(
                    (r"sel([12]\d\d)", r"mitdb/\1"),
                    (r"sel(8\d\d)", r"svdb/\1"),
                    (r"sel(1[45]\d{3})", r"ltdb/\1"),
                    (r"sel(16\d{3}|17453)", r"nsrdb/\1"),
                    (r"sele.*", "edb"),
                ),
                note="excerpts of patients of mitdb, svdb, ltdb, nsrdb, edb and others; never to train on",
            ),
            Database(
                "vfdb",
                "MIT-BIH Malignant Ventricular Ectopy Database",
                citation="Greenwald SD. Development and analysis of a ventricular fibrillation detector. "
                "MS thesis, MIT Department of Electrical Engineering and Computer Science (1986).",
                doi="10.13026/C22P44",
                sampling_rate=250,
                leads=("ECG", "ECG"),
                records=_names("{}", "418-430 602 605 607 609-612 614-615"),
                training=_names("{}", _VFDB_TRAINING),
                annotators=(Annotator("atr", "rhythm changes"),),
                uses={"rhythm": "training"},
                note="no beats. Rhythms include VT, VFL, VF or VFIB, ASYS, SVTA, PM (paced), AFIB and NOISE",
            ),
            Database(
                "cudb",
                "CU Ventricular Tachyarrhythmia Database",
                citation="Nolle FM, Badura FK, Catlett JM, Bowser RW, Sketch MH. CREI-GARD, a new concept in "
                "computerized arrhythmia monitoring systems. Computers in Cardiology 13:515-518 (1986).",
                doi="10.13026/C2X59M",
                sampling_rate=250,
                leads=("ECG",),
                records=_names("cu{:02d}", "1-35"),
                training=_names("cu{:02d}", "1-35/2"),
                annotators=(Annotator("atr", "beats, rhythm changes, ventricular fibrillation"),),
                label_files=("windows_5s.csv",),
                uses={"windows": "training"},
                note="patient monitors; cu01 alone is from a Holter. The beats of cu01 are all N. "
                "windows_5s.csv is not PhysioNet's: some mirrors add it, with a third party's label of each "
                "5 s (shockable rhythm or not), and with an assumed gain of 400",
            ),
            Database(
                "aftdb",
                "AF Termination Challenge Database",
                citation="Moody GB. Spontaneous termination of atrial fibrillation: a challenge from "
                "PhysioNet and Computers in Cardiology 2004. Computers in Cardiology 31:101-104 (2004).",
                doi="10.13026/C2CC7Z",
                sampling_rate=128,
                leads=("ECG", "ECG"),
                records=(
                    *_names("learning-set/n{:02d}", "1-10"),
                    *_names("learning-set/s{:02d}", "1-10"),
                    *_names("learning-set/t{:02d}", "1-10"),
                    *_names("test-set-a/a{:02d}", "1-30"),
                    *_names("test-set-b/b{:02d}", "1-20"),
                ),
                annotators=(Annotator("qrs", "beats", audited=False),),
                uses={"strips": "test"},
                patients=((r"learning-set/[st](\d\d)", r"aftdb/learning-set/s\1"),),
                note="one minute each, all in atrial fibrillation. Record t01 follows s01, and so on. "
                "All automatic beats are labelled N",
            ),
            Database(
                "afpdb",
                "PAF Prediction Challenge Database",
                citation="Moody GB, Goldberger AL, McClennen S, Swiryn SP. Predicting the onset of "
                "paroxysmal atrial fibrillation: the Computers in Cardiology Challenge 2001. "
                "Computers in Cardiology 28:113-116 (2001).",
                sampling_rate=128,
                leads=("ECG0", "ECG1"),
                records=(
                    *_names("n{:02d}", "1-50"),
                    *_names("n{:02d}c", "1-50"),
                    *_names("p{:02d}", "1-50"),
                    *_names("p{:02d}c", "1-50"),
                    *_names("t{:02d}", "1-100"),
                ),
                annotators=(Annotator("qrs", "beats", audited=False),),
                uses={"strips": "test"},
                patients=tuple(_afpdb_patients()),
                may_share=("edb", "nsrdb", "ltdb", "mitdb", "svdb"),
                note="n: no atrial fibrillation. p: patients who have it; it begins with the even p..c. "
                "The 50 pairs of the learning set are 48 subjects; it is not published which. Some are "
                "excerpts of patients of edb, nsrdb, ltdb, mitdb or svdb: never to train on",
            ),
            Database(
                "ludb",
                "Lobachevsky University Electrocardiography Database",
                version="1.0.1",
                citation="Kalyakulina AI, Yusipov II, Moskalenko VA, Nikolskiy AV, Kosonogov KA, Osipov GV, "
                "Zolotykh NY, Ivanchenko MV. LUDB: a new open-access validation tool for electrocardiogram "
                "delineation algorithms. IEEE Access 8:186181-186190 (2020).",
                doi="10.13026/eegm-h675",
                sampling_rate=500,
                leads=_LUDB_LEADS,
                records=_names("data/{}", "1-200"),
                training=_names("data/{}", "1-200/2"),
                annotators=tuple(Annotator(lead, "P, QRS and T waves of this lead") for lead in _LUDB_LEADS),
                uses={"waves": "training", "strips": "test"},
                note="10 s each. The rhythm is in the comments of the header",
            ),
            Database(
                "challenge-2017",
                "AF Classification from a Short Single Lead ECG Recording, Challenge 2017",
                subfolder="training",
                citation="Clifford GD, Liu C, Moody B, Li-wei HL, Silva I, Li Q, Johnson AE, Mark RG. AF "
                "classification from a short single lead ECG recording: the PhysioNet/Computing in "
                "Cardiology Challenge 2017. Computing in Cardiology 44 (2017). "
                "doi:10.22489/CinC.2017.065-469.",
                doi="10.13026/d3hm-sf11",
                sampling_rate=300,
                leads=("ECG",),
                records=_names("A{:05d}", "1-8528"),
                training=_names("A{:05d}", _CHALLENGE_TRAINING),
                annotators=(),
                label_files=("REFERENCE.csv", "REFERENCE-v3.csv"),
                uses={"strips": "training"},
                note="hand-held, 9 to 61 s. Labels: N, A (atrial fibrillation), O (other), ~ (too noisy). "
                "PhysioNet's records are in folders, such as A00/A00001. Patients are not published",
            ),
            Database(
                "simdb",
                "Simulated patients",
                license="",
                annotators=(Annotator("atr", "beats, rhythm changes"),),
                uses={"beats": "training"},
                note="written by `ectopy simulate`; records whose number is a multiple of 3 are held out",
            ),
            Database(
                CORRECTIONS,
                "Recordings that a reader has confirmed",
                license="",
                annotators=(Annotator("atr", "beats, rhythm changes, as confirmed"),),
                uses={"beats": "training"},
                patients=(
                    (r"([a-z0-9-]+)_([A-Za-z0-9]+)-[0-9a-f]{12}", r"\1/\2"),
                    (r"([0-9a-f]{12})-[0-9a-f]{12}", rf"{CORRECTIONS}/\1"),
                ),
                note="written by `ectopy train --corrections`; names are the patient and a hash of content",
                all_train=True,
            ),
        )
    }
)


_NUMBER = re.compile(r"[0-9]+$")


def find_database(name: str) -> Database:
    """Return the database with a PhysioNet name."""
    if name not in DATABASES:
        raise UnknownDatabaseError(
            f"{name or repr(name)}: unknown database. Choose one of {', '.join(DATABASES)}."
        )
    return DATABASES[name]


def patient_of(database: Database, record: str) -> str:
    """Return the patient of a record, such as ``mitdb/118`` for record 118e24 of nstdb.

    A patient has the same name in every database.

    Parameters
    ----------
    database
        The database.
    record
        Name of the record.

    Returns
    -------
    ``<database>/<record>``, where the record is one of the patient's.
    """
    for pattern, patient in database.patients:
        if match := re.fullmatch(pattern, record):
            return match.expand(patient)
    return f"{database.name}/{record}"


def split(
    database: Database, records: Iterable[str], use: str = "beats"
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split records into training and held-out records, as the catalogue says.

    Simulated patients are in no catalogue: those whose number is a multiple of 3 are held out. All that
    readers have confirmed may train.

    Parameters
    ----------
    database
        The database.
    records
        Names of its records, with or without their folder.
    use
        The labels, one of ``Database.uses``. A database that is not for training has no training records.

    Returns
    -------
    Training records, held-out records.
    """
    names = tuple(records)
    if database.all_train:
        return names, ()
    if not database.records:
        third = tuple(name for name in names if (number := _NUMBER.search(name)) and int(number[0]) % 3 == 0)
        return tuple(name for name in names if name not in third), third
    training = database.training if database.uses.get(use) == "training" else ()
    held_out = database.held_out if use in database.uses else ()
    return _among(names, training), _among(names, held_out)


def _among(names: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the names of wanted records; mirrors may keep a record in another folder."""
    stems = {record.rpartition("/")[2] for record in wanted}
    return tuple(name for name in names if name.rpartition("/")[2] in stems)


def training_databases() -> tuple[str, ...]:
    """Return the names of the published databases that training learns from."""
    return tuple(
        database.name
        for database in DATABASES.values()
        if database.records and any(database.uses.get(use) == "training" for use in LEARNED_USES)
    )


def noise_db(record: str) -> int | None:
    """Return the signal-to-noise ratio of an nstdb record, such as -6 dB for 118e_6; None for pure noise."""
    match = re.fullmatch(r"\d+e(_?)(\d+)", record)
    return None if match is None else int(match[2]) * (-1 if match[1] else 1)
