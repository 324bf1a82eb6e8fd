"""HL7 aECG and Philips Sierra XML, and XML that is none of ours to read."""

import base64
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError
from ectopy.readers import safe_xml
from ectopy.readers.sierra.xli import expand, unpack
from tests.format_files import (
    TWELVE,
    aecg,
    aecg_lead,
    aecg_series,
    aecg_set,
    counts,
    limb_leads,
    lzw,
    sierra,
    two_aecg_leads,
    xli,
)

START = datetime(2024, 2, 29, 23, 59, 58)  # noqa: DTZ001


def write(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "a.xml"
    path.write_bytes(text.encode(encoding))
    return path


def whole(recording: Recording) -> NDArray[np.float32]:
    return recording.read(0, recording.n_samples)


def of_one_set(leads: list[str], **more: str) -> str:
    return aecg([aecg_series([aecg_set(leads, **more)])])


class TestAnnotatedEcg:
    def test_a_file_says_its_name_rate_leads_length_and_start(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path, of_one_set(two_aecg_leads(counts()))))
        assert recording.name == "a"
        assert (recording.fs, recording.leads, recording.n_samples) == (500, ("I", "aVR"), 1000)
        assert recording.start == START.replace(microsecond=500_000)

    def test_a_file_is_known_by_its_first_element(self, tmp_path: Path) -> None:
        long_comment = f"<!-- {'words ' * 500} -->"
        text = of_one_set(two_aecg_leads(counts())).replace("<!-- made for a test -->", long_comment)
        assert readers.is_recording(write(tmp_path, text))
        assert readers.is_recording(
            write(tmp_path, text.replace("<Ann", "<hl7:Ann").replace("</Ann", "</hl7:Ann"))
        )
        assert not readers.is_recording(write(tmp_path, text.replace("AnnotatedECG", "ClinicalDocument")))

    def test_samples_are_digits_by_scale_from_their_origin(self, tmp_path: Path) -> None:
        digits = counts(n_leads=1)[:, 0]
        lead = aecg_lead("MDC_ECG_LEAD_II", digits, scale="2.5", origin="100")
        signal = whole(readers.open_recording(write(tmp_path, of_one_set([lead]))))
        assert signal.dtype == np.float32
        np.testing.assert_allclose(signal[:, 0], (digits * 2.5 + 100) / 1000, rtol=1e-6)

    @pytest.mark.parametrize(("unit", "factor"), [("uV", 1e-3), ("mV", 1), ("nV", 1e-6), ("V", 1e3)])
    def test_units_of_voltage_become_millivolts(self, tmp_path: Path, unit: str, factor: float) -> None:
        digits = counts(n_leads=1)[:, 0]
        path = write(tmp_path, of_one_set([aecg_lead("MDC_ECG_LEAD_II", digits, scale="1", unit=unit)]))
        np.testing.assert_allclose(whole(readers.open_recording(path))[:, 0], digits * factor, rtol=1e-6)

    @pytest.mark.parametrize(
        ("step", "unit", "fs"),
        [
            ("0.002", "s", 500),
            ("2", "ms", 500),
            ("4000", "us", 250),
            ("0.00333", "s", 300),
            ("0.0078125", "s", 128),
        ],
    )
    def test_the_rate_is_that_of_the_increment(self, tmp_path: Path, step: str, unit: str, fs: float) -> None:
        path = write(tmp_path, of_one_set(two_aecg_leads(counts()), step=step, unit=unit))
        assert readers.open_recording(path).fs == fs

    @pytest.mark.parametrize(
        ("head", "start"),
        [
            ('<head value="20240229235958"/>', START),
            ('<head value="202402292359"/>', START.replace(second=0)),
            ('<head value="20240229235958.000+0100"/>', START),
            ('<head value="0" unit="s"/>', START),  # relative: the series says when
            ("", START),
            ('<head value="yesterday"/>', START),
        ],
    )
    def test_the_start_is_that_of_the_first_sample(self, tmp_path: Path, head: str, start: datetime) -> None:
        path = write(tmp_path, of_one_set(two_aecg_leads(counts()), head=head))
        assert readers.open_recording(path).start == start

    def test_derived_beats_are_no_rhythm(self, tmp_path: Path) -> None:
        beat = aecg_set(two_aecg_leads(counts(5000, seed=9)))
        series = aecg_series([aecg_set(two_aecg_leads(counts()))], derived=beat)
        typical = aecg_series([beat], code="REPRESENTATIVE_BEAT")
        recording = readers.open_recording(write(tmp_path, aecg([typical, series])))
        assert recording.n_samples == 1000
        with pytest.raises(UnreadableError, match=r"no rhythm series with ECG leads\. Export"):
            readers.open_recording(write(tmp_path, aecg([typical])))

    def test_sets_one_after_the_other_make_one_recording(self, tmp_path: Path) -> None:
        stored = counts()
        sets = [
            aecg_set([aecg_lead("MDC_ECG_LEAD_I", stored[:, 0])], head='<head value="20240229235958"/>'),
            aecg_set([aecg_lead("MDC_ECG_LEAD_V1", stored[:, 1])], head='<head value="20240301000001"/>'),
        ]
        recording = readers.open_recording(write(tmp_path, aecg([aecg_series(sets)])))
        assert (recording.leads, recording.n_samples, recording.start) == (("I", "V1"), 2500, START)
        signal = whole(recording)
        np.testing.assert_allclose(signal[:1000, 0], stored[:, 0] * 5e-3, rtol=1e-6)
        np.testing.assert_allclose(signal[1500:, 1], stored[:, 1] * 5e-3, rtol=1e-6)
        assert np.isnan(signal[1000:, 0]).all()

    def test_of_several_series_the_longest_is_read_and_the_others_are_named(self, tmp_path: Path) -> None:
        series = [aecg_series([aecg_set(two_aecg_leads(counts(n)))]) for n in (500, 1000, 250)]
        recording = readers.open_recording(write(tmp_path, aecg(series)))
        assert recording.n_samples == 1000
        assert recording.notes == ("of 3 rhythm series only the longest is read",)

    def test_a_sequence_in_no_unit_of_voltage_is_no_lead(self, tmp_path: Path) -> None:
        leads = [*two_aecg_leads(counts()), aecg_lead("MDC_PRESS_BLD", counts()[:, 0], unit="mm[Hg]")]
        assert readers.open_recording(write(tmp_path, of_one_set(leads))).leads == ("I", "aVR")

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            (
                'value="0.002"',
                'value="0"',
                "the increment of time is not positive, or not in a unit of time. Export",
            ),
            (
                'value="0.002"',
                'value="-1"',
                "the increment of time is not positive, or not in a unit of time. Export",
            ),
            ('value="0.002"', 'value="soon"', "the increment of time is not a finite number. Correct it"),
            ('value="0.002"', 'value="1e-310"', "the sampling rate is inf Hz, outside 50 to 50000 Hz"),
            ('value="0.002"', 'value="1"', "the sampling rate is 1 Hz, outside 50 to 50000 Hz"),
            (
                'unit="s"',
                'unit="mV"',
                "the increment of time is not positive, or not in a unit of time. Export",
            ),
            (
                'scale value="5"',
                'scale value="0"',
                r"no lead can be read \(leads I, aVR are left out: it has no scale\)\. ",
            ),
            ('scale value="5"', 'scale value="inf"', "its scale, origin or samples are not all numbers"),
            ("<digits>", "<digits>Jane ", "its scale, origin or samples are not all numbers"),
            ('<code code="MDC_ECG_LEAD', '<code code="X', "no rhythm series with ECG leads. Export"),
        ],
    )
    def test_what_cannot_be_true(self, tmp_path: Path, old: str, new: str, match: str) -> None:
        path = write(tmp_path, of_one_set(two_aecg_leads(counts())).replace(old, new))
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path) in str(caught.value)
        assert "Jane" not in str(caught.value)


class TestSierra:
    def test_a_file_says_its_name_rate_leads_length_and_start(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path, sierra(limb_leads())))
        assert recording.name == "a"
        assert (recording.fs, recording.leads, recording.n_samples) == (500, TWELVE, 600)
        assert recording.start == START

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
    def test_a_file_is_known_in_every_encoding(self, tmp_path: Path, encoding: str) -> None:
        text = sierra(limb_leads()).replace("UTF-8", "UTF-16" if "16" in encoding else "UTF-8")
        path = write(tmp_path, text, encoding=encoding)
        assert readers.is_recording(path)
        assert safe_xml.root_name(path.read_bytes()) == "restingecgdata"

    @pytest.mark.parametrize(
        ("compressed", "rest"),
        [(True, True), (False, True), (False, False)],
        ids=["XLI", "plain rest", "plain leads"],
    )
    def test_samples_are_the_numbers_stored(self, tmp_path: Path, *, compressed: bool, rest: bool) -> None:
        leads = limb_leads()
        recording = readers.open_recording(write(tmp_path, sierra(leads, compressed=compressed, rest=rest)))
        np.testing.assert_allclose(whole(recording), leads * 5e-3, rtol=1e-6)

    def test_version_1_03_says_less(self, tmp_path: Path) -> None:
        text = sierra(limb_leads(), version="1.03", kind="SierraECG").replace(
            "<resolution>", "<signalresolution>"
        )
        text = text.replace("</resolution>", "</signalresolution>").replace("compression=", "compressmethod=")
        text = text.replace(f'leadlabels="{" ".join(TWELVE)}"', "").replace('numberofleads="12"', "")
        recording = readers.open_recording(write(tmp_path, text))
        assert recording.leads == TWELVE
        np.testing.assert_allclose(whole(recording), limb_leads() * 5e-3, rtol=1e-6)

    def test_the_calibration_pulse_at_the_end_is_missing(self, tmp_path: Path) -> None:
        leads = limb_leads()
        leads[500:], leads[540:580] = 0, 200  # 1 mV in all leads at once
        signal = whole(readers.open_recording(write(tmp_path, sierra(leads))))
        assert signal.shape == (600, 12)
        assert np.isnan(signal[500:]).all()
        np.testing.assert_allclose(signal[:500], leads[:500] * 5e-3, rtol=1e-6)

    def test_leads_may_be_others_than_the_twelve(self, tmp_path: Path) -> None:
        stored = counts(600, 3)
        path = write(tmp_path, sierra(stored, rest=False, names=("II", "V1", "V4R")))
        recording = readers.open_recording(path)
        assert recording.leads == ("II", "V1", "V4R")
        np.testing.assert_allclose(whole(recording), stored * 5e-3, rtol=1e-6)

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            ("PhilipsECG", "MortaraECG", "the document type is neither PhilipsECG nor SierraECG. Export"),
            ('"Base64"', '"Hex"', "the waveforms are not encoded in Base64. Export"),
            ('"XLI"', '"ZIP"', "unknown compression of the waveforms. Export"),
            ('"1200"', '"nan"', "the duration is not a finite number. Correct it"),
            (
                'numberofleads="12"',
                'numberofleads="13"',
                "states 13 leads, outside 1 to 32, or more than it names. Export",
            ),
            (
                'numberofleads="12"',
                'numberofleads="0"',
                "states 0 leads, outside 1 to 32, or more than it names. Export",
            ),
            (
                "<resolution>5<",
                "<resolution>0<",
                r"no lead can be read \(leads I, .* and 6 more are left out: its gain is 0\)\. Correct",
            ),
            ("<resolution>5<", "<resolution>?<", "the resolution is not a finite number. Correct it"),
            (">500<", ">5<", "the sampling rate is 5 Hz, outside 50 to 50000 Hz. Correct"),
            ("parsedwaveforms", "others", "the file has no waveforms. Export"),
            (
                '12" leadlabels="I ',
                '12" leadlabels="',
                "states 12 leads, outside 1 to 32, or more than it names. Export",
            ),
        ],
    )
    def test_what_cannot_be_true(self, tmp_path: Path, old: str, new: str, match: str) -> None:
        path = write(tmp_path, sierra(limb_leads()).replace(old, new))
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path) in str(caught.value)

    def test_waveforms_that_are_cut(self, tmp_path: Path) -> None:
        text = sierra(limb_leads())
        at = text.index("</parsedwaveforms>")
        for cut in (3, 4, 1000):
            path = write(tmp_path, text[: at - 1 - cut] + text[at:])
            with pytest.raises(UnreadableError, match=r"again\.$"):
                readers.open_recording(path)

    def test_waveforms_that_are_not_packed_as_they_say(self, tmp_path: Path) -> None:
        noise = base64.b64encode(np.random.default_rng(0).bytes(5000)).decode()
        text = sierra(limb_leads())
        path = write(
            tmp_path,
            text[: text.index(">", text.index("parsedwaveforms")) + 1]
            + noise
            + text[text.index("</parsed") :],
        )
        with pytest.raises(UnreadableError, match=r"again\.$"):
            readers.open_recording(path)


class TestXli:
    def test_packing_and_unpacking_gives_the_same(self) -> None:
        for n in (2, 3, 4, 1001):
            lead = counts(n, 1)[:, 0]
            (unpacked,) = expand(
                Path("a"), xli(lead) if n > 2 else self.short(lead), n_leads=1, most_samples=2000
            )
            np.testing.assert_array_equal(unpacked, lead)

    def short(self, lead: NDArray[np.int64]) -> bytes:
        stored = lead.astype(">i2").tobytes()
        packed = lzw(stored[::2] + stored[1::2])
        return len(packed).to_bytes(4, "little") + b"\0" * 4 + packed

    def test_a_string_that_repeats_itself_at_once_is_understood(self) -> None:
        # The code of a string that is only being made: the one special case of LZW.
        data = b"aaaaaaaaaaaaaaaaaaaaaaaa"
        assert unpack(Path("a"), lzw(data), most_bytes=100) == data

    def test_the_table_of_strings_has_an_end(self) -> None:
        data = np.random.default_rng(0).integers(0, 4, 20_000).astype(np.uint8).tobytes()
        assert unpack(Path("a"), lzw(data), most_bytes=20_000) == data

    def test_a_lead_that_swells_is_refused(self) -> None:
        with pytest.raises(UnreadableError, match=r"exceeds the limit of 1000 bytes\. Export"):
            unpack(Path("a"), lzw(b"a" * 2000), most_bytes=1000)

    def test_a_code_nobody_made_is_refused(self) -> None:
        with pytest.raises(UnreadableError, match=r"invalid code in the compressed waveforms\. Copy"):
            unpack(Path("a"), (900 << 6).to_bytes(2, "big"), most_bytes=1000)


class TestUnsafeXml:
    def refuse(self, folder: Path, text: str, match: str) -> None:
        path = write(folder, text)
        assert readers.is_recording(path)
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path) in str(caught.value)

    def test_a_bomb_of_entities(self, tmp_path: Path) -> None:
        entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
        text = f'<!DOCTYPE AnnotatedECG [<!ENTITY e0 "ECG">{entities}]><AnnotatedECG>&e9;</AnnotatedECG>'
        self.refuse(tmp_path, text, "the XML declares entities, which is not allowed. Export")

    def test_a_file_from_elsewhere(self, tmp_path: Path) -> None:
        text = '<!DOCTYPE AnnotatedECG [<!ENTITY e SYSTEM "file:///etc/passwd">]><AnnotatedECG>&e;</AnnotatedECG>'
        self.refuse(tmp_path, text, "the XML declares entities, which is not allowed. Export")

    def test_a_definition_from_elsewhere(self, tmp_path: Path) -> None:
        text = '<!DOCTYPE AnnotatedECG SYSTEM "http://127.0.0.1:9/x.dtd"><AnnotatedECG></AnnotatedECG>'
        self.refuse(tmp_path, text, "the XML declares entities|not well-formed XML|no rhythm series")

    def test_elements_too_deep(self, tmp_path: Path) -> None:
        text = f"<AnnotatedECG>{'<a>' * 300}{'</a>' * 300}</AnnotatedECG>"
        self.refuse(tmp_path, text, "not well-formed XML")

    def test_elements_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(safe_xml, "_MOST_ELEMENTS", 1000)
        self.refuse(tmp_path, f"<AnnotatedECG>{'<a/>' * 1000}</AnnotatedECG>", "not well-formed XML")

    def test_a_file_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(safe_xml, "_LARGEST", 1000)
        text = f"<AnnotatedECG>{' ' * 2000}</AnnotatedECG>"
        self.refuse(tmp_path, text, f"the file has {len(text)} bytes, more than the limit of 1000. Split")

    @pytest.mark.parametrize(
        "text", ["<AnnotatedECG>", "<AnnotatedECG></restingecgdata>", "<AnnotatedECG>&nbsp;</AnnotatedECG>"]
    )
    def test_xml_that_is_not_well_formed(self, tmp_path: Path, text: str) -> None:
        self.refuse(tmp_path, text, "not well-formed XML. The file may be damaged: copy or export it again")

    def test_an_encoding_nobody_knows(self, tmp_path: Path) -> None:
        self.refuse(
            tmp_path, '<?xml version="1.0" encoding="klingon"?><AnnotatedECG/>', "not well-formed XML"
        )
