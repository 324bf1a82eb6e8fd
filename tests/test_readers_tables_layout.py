"""What commas, preambles and columns of a text file mean; two readings of a number are never mixed up."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError

N = 1200
MV = (np.arange(N) * 37 % 1000 - 500) / 1000


def write(folder: Path, text: str, *, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def column(form: str = "{:.3f}", factor: float = 1.0, *, comma: bool = True) -> str:
    """The samples as a column of text."""
    lines = "\n".join(form.format(value * factor) for value in MV.tolist())
    return lines.replace(".", ",") if comma else lines


def lead(recording: Recording) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return recording.read(0, recording.n_samples)[:, 0]


class TestCommas:
    @pytest.mark.parametrize(
        "text",
        [
            "ECG (mV)\n" + column(),
            "# fs: 250\nECG (mV)\n" + column(),
            "# fs: 250\n\nECG\n" + column("{:g}"),  # with and without decimals
            column(),
            column("{:.2f}", 1.0),
            'ECG\n"' + column().replace("\n", '"\n"') + '"',
        ],
    )
    def test_one_column_of_decimal_commas_is_one_lead(self, tmp_path: Path, text: str) -> None:
        recording = readers.open_recording(write(tmp_path, text), fs=250)
        assert len(recording.leads) == 1
        np.testing.assert_allclose(lead(recording), MV, atol=0.0051)

    @pytest.mark.parametrize(
        ("text", "leads"),
        [
            ("II,V1\n" + "\n".join(f"{at % 9},{at % 7}" for at in range(N)), ("II", "V1")),
            ("\n".join(f"{at * 7 % 500},{-(at % 90)}" for at in range(N)), ("lead 1", "lead 2")),
            ("\n".join(f"{at},{500 + at * 7 % 99}" for at in range(N)), ("lead 1",)),  # numbers of rows
            ("\n".join(f"{at * 7 % 500},{100 + at * 37 % 900}" for at in range(N)), ("lead 1", "lead 2")),
        ],
    )
    def test_whole_numbers_in_two_columns_are_two(
        self, tmp_path: Path, text: str, leads: tuple[str, ...]
    ) -> None:
        assert readers.open_recording(write(tmp_path, text), fs=250).leads == leads

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "\n".join(f"1,{500 + at % 400}" for at in range(N)),
                "as two columns of whole numbers, or as one",
            ),
            ("1,2\n3,4\n5,6\n", "as two columns of whole numbers, or as one column with decimal commas"),
            (
                "time,II\n" + "\n".join(f"0,{at % 1000:03},-0,{at % 999:03}" for at in range(N)),
                "the commas separate columns and decimals alike",
            ),
            (
                "time,II\n0,-0,1\n" + "\n".join(f"0,{at % 1000:03},-0,{at % 999:03}" for at in range(N)),
                "the commas separate columns and decimals alike",
            ),
            (
                "II;V1\n" + "\n".join(f"1,{at % 1000:03};955" for at in range(N)),
                "as 1.234, or as 1234 with a",
            ),
            (
                "sample,ECG\n" + "\n".join(f"{at},0,{at % 1000:03}" for at in range(N)),
                "the commas separate columns and decimals alike",
            ),
            (
                "\n".join(f"{at},-0,{at % 1000:03}" for at in range(N)),
                "the commas separate columns and decimals alike",
            ),
        ],
    )
    def test_two_readings_are_refused_with_both_and_a_remedy(
        self, tmp_path: Path, text: str, problem: str
    ) -> None:
        path = write(tmp_path, text)
        with pytest.raises(UnreadableError, match=rf"{problem}.*\. .*Export the table|{problem}.*\. Name"):
            readers.open_recording(path, fs=250)
        assert readers.is_recording(path, fs=250)  # a search must not pass over it in silence

    def test_points_between_thousands_are_no_decimals(self, tmp_path: Path) -> None:
        steps = [f"{at * 137 % 3000 - 1500:,}".replace(",", ".") for at in range(N)]
        with pytest.raises(UnreadableError, match=r"as 1234 with a point between the thousands. Export"):
            readers.open_recording(write(tmp_path, "ECG (uV)\n" + "\n".join(steps)), fs=250)

    @pytest.mark.parametrize(("factor", "digits"), [(1, 3), (1000, 0), (10, 2), (300, 1), (700, 3)])
    def test_decimals_are_no_thousands(self, tmp_path: Path, factor: float, digits: int) -> None:
        rows = [f"{value:.{digits}f}" for value in (MV * factor).tolist()]
        recording = readers.open_recording(write(tmp_path, "ECG (uV)\n" + "\n".join(rows)), fs=250)
        np.testing.assert_allclose(lead(recording), MV * factor / 1000, atol=1e-3)

    @pytest.mark.parametrize(("name", "flat"), [("II", "0"), ("II,V1", "0,0")])
    def test_decimal_commas_that_begin_late_are_not_cut_off(
        self, tmp_path: Path, name: str, flat: str
    ) -> None:
        n_leads = name.count(",") + 1
        rows = [flat] * 2000 + [",".join(["0,325"] * n_leads)] * N
        with pytest.raises(UnreadableError, match=f"do not consist of {n_leads} numbers"):
            readers.open_recording(write(tmp_path, f"{name}\n" + "\n".join(rows)), fs=250)

    def test_names_count_although_only_the_rows_end_with_a_separator(self, tmp_path: Path) -> None:
        rows = [f"{value};{-value};".replace(".", ",") for value in MV.tolist()]
        recording = readers.open_recording(write(tmp_path, "V1;II\n" + "\n".join(rows)), fs=250)
        assert recording.leads == ("V1", "II")
        np.testing.assert_allclose(lead(recording), MV, rtol=1e-6)

    def test_a_last_row_that_is_cut_changes_nothing(self, tmp_path: Path) -> None:
        text = "\n".join(f"{at * 7 % 500},{-(at % 90)}" for at in range(N)) + "\n412"
        assert readers.open_recording(write(tmp_path, text), fs=250).leads == ("lead 1", "lead 2")


class TestRates:
    def test_a_key_may_have_its_unit_in_brackets(self, tmp_path: Path) -> None:
        text = f"Sampling frequency(Hz),500\nUnit,mV\nLead,II\n\n{column(comma=False)}"
        assert readers.open_recording(write(tmp_path, text)).fs == 500

    @pytest.mark.parametrize(
        ("said", "fs"),
        [
            ("511,562 hertz", 511.562),
            ("511.562 Hz", 511.562),
            ("1,000 Hz", 1000),
            ("1.024,5 Hz", 1024.5),
            ("1 kHz", 1000),
            ("0,5 kHz", 500),
        ],
    )
    def test_the_plausible_reading_counts(self, tmp_path: Path, said: str, fs: float) -> None:
        path = write(tmp_path, f'Sample Rate,"{said}"\nII;V1\n' + "0.1;0.2\n" * 9)
        assert readers.open_recording(path).fs == fs

    def test_two_plausible_readings_are_refused_unless_the_user_decides(self, tmp_path: Path) -> None:
        path = write(tmp_path, "# fs: 50,000\nII;V1\n" + "0.1;0.2\n" * 9)
        with pytest.raises(UnreadableError, match=r"may be 50 or 50000 Hz\. Give the right one with --fs"):
            readers.open_recording(path)
        assert readers.open_recording(path, fs=50_000).fs == 50_000

    def test_the_frequency_of_a_filter_is_no_rate(self, tmp_path: Path) -> None:
        path = write(tmp_path, "Notch filter: 60 Hz\nII;V1\n" + "0.1;0.2\n" * 9)
        with pytest.raises(UnreadableError, match="no sampling rate"):
            readers.open_recording(path)


# Names of the fields and of the lead, as watches write them in the language of the phone.
WATCHES = {
    "English": ("Name", "Date of Birth", "Recorded Date", "Sample Rate", "512 hertz", "Lead", "Lead I", "Unit"),
    "German": ("Name", "Geburtsdatum", "Aufzeichnungsdatum", "Messrate", "512 Hertz", "Ableitung", "Ableitung I", "Einheit"),
    "French": ("Nom", "Date de naissance", "Date d\u2019enregistrement", "Fr\u00e9quence d\u2019\u00e9chantillonnage", "512 hertz", "D\u00e9rivation", "D\u00e9rivation I", "Unit\u00e9"),
    "Spanish": ("Nombre", "Fecha de nacimiento", "Fecha de grabaci\u00f3n", "Frecuencia de muestreo", "512 hercios", "Derivaci\u00f3n", "Derivaci\u00f3n I", "Unidad"),
    "Italian": ("Nome", "Data di nascita", "Data di registrazione", "Frequenza di campionamento", "512 hertz", "Derivazione", "Derivazione I", "Unit\u00e0"),
    "Dutch": ("Naam", "Geboortedatum", "Opnamedatum", "Meetfrequentie", "512 hertz", "Afleiding", "Afleiding I", "Eenheid"),
    "Polish": ("Nazwisko", "Data urodzenia", "Data zapisu", "Cz\u0119stotliwo\u015b\u0107 pr\u00f3bkowania", "512 herc\u00f3w", "Odprowadzenie", "Odprowadzenie I", "Jednostka"),
    "Japanese": ("\u540d\u524d", "\u751f\u5e74\u6708\u65e5", "\u8a18\u9332\u65e5", "\u30b5\u30f3\u30d7\u30eb\u30ec\u30fc\u30c8", "512\u30d8\u30eb\u30c4", "\u8a98\u5c0e", "\u7b2cI\u8a98\u5c0e", "\u5358\u4f4d"),
}  # fmt: skip


class TestWatches:
    @pytest.mark.parametrize("language", WATCHES)
    @pytest.mark.parametrize("sep", [",", ";"])
    @pytest.mark.parametrize("comma", [True, False])
    def test_an_export_is_recognised_by_its_structure(
        self, tmp_path: Path, language: str, sep: str, *, comma: bool
    ) -> None:
        name, birth, recorded, rate, hertz, lead_key, lead_name, unit = WATCHES[language]
        fields = [
            (name, '"Jane V1, Doe"'),
            (birth, '"01.01.1950"'),
            (recorded, "2024-03-26 17:30:49 +0100"),
            ("Device", '"Watch6,2"'),
            (rate, hertz),
            ("", ""),
            (lead_key, lead_name),
            (unit, "\u00b5V"),
            ("", ""),
        ]
        text = "\n".join(f"{key}{sep}{value}" if key else "" for key, value in fields)
        path = write(tmp_path, f"{text}\n{column('{:.6g}', 1001, comma=comma)}\n")
        assert readers.is_recording(path)
        recording = readers.open_recording(path)
        assert (recording.fs, recording.n_samples, len(recording.leads)) == (512, N, 1)
        assert recording.leads[0] in {"I", "ECG"}
        assert recording.start == datetime(2024, 3, 26, 17, 30, 49)  # noqa: DTZ001
        np.testing.assert_allclose(lead(recording), MV * 1.001, rtol=1e-4)
        assert "Jane" not in str(recording)
        assert "1950" not in str(recording)

    def test_decimals_in_the_first_rows_do_not_turn_the_unit_into_a_name(self, tmp_path: Path) -> None:
        text = "Messrate,512 Hertz\nAbleitung,Ableitung I\nEinheit,\u00b5V\n" + column("{:.3f}", 1001)
        recording = readers.open_recording(write(tmp_path, text))
        assert recording.leads == ("I",)
        np.testing.assert_allclose(lead(recording), MV * 1.001, rtol=1e-4, atol=1e-6)

    def test_micro_and_no_rate_is_no_watch(self, tmp_path: Path) -> None:
        assert not readers.is_recording(write(tmp_path, "Unit,\u00b5V\nA,1x\nB,2x\n" + column(comma=False)))


def opensignals(folder: Path, device: dict[str, object], rows: list[str], *, mark: str = "") -> Path:
    about: dict[str, object] = {
        "sensor": ["ECG"],
        "column": ["nSeq", "I1", "I2", "O1", "O2", "A1"],
        "label": ["A1"],
        "resolution": [4, 1, 1, 1, 1, 10],
        "sampling rate": 1000,
        "device": "bitalino",
        "date": "2024-3-26",
        "time": "17:30:49.123",
    }
    header = json.dumps({"00:07:80:00:00:00": about | device})
    return write(
        folder,
        f"# OpenSignals Text File Format{mark}\n# {header}\n# EndOfHeader\n" + "\n".join(rows) + "\n",
        name="a.txt",
    )


STORED = 512 + np.arange(N) * 37 % 400
BITALINO = [f"{at % 16}\t0\t0\t1\t1\t{value}\t" for at, value in enumerate(STORED.tolist())]


class TestOpenSignals:
    def test_rate_lead_and_unit_come_from_the_header(self, tmp_path: Path) -> None:
        path = opensignals(tmp_path, {}, BITALINO)
        assert readers.is_recording(path)
        recording = readers.open_recording(path)
        assert (recording.fs, recording.leads, recording.n_samples) == (1000, ("ECG",), N)
        assert recording.start == datetime(2024, 3, 26, 17, 30, 49)  # noqa: DTZ001
        assert recording.notes == ("columns 1, 2, 3, 4, 5 are left out: they are not ECG leads",)
        np.testing.assert_allclose(lead(recording), (STORED / 1024 - 0.5) * 3.3 / 1100 * 1000, rtol=1e-5)

    def test_a_recorder_of_16_bits_among_other_sensors(self, tmp_path: Path) -> None:
        device = {
            "sensor": ["EDA", "ECG", "RESP"],
            "column": ["nSeq", "DI", "CH1", "CH2", "CH3"],
            "label": ["CH1", "CH2", "CH3"],
            "resolution": [16, 16, 16],
            "device": "biosignalsplux",
        }
        rows = [f"{at}\t0\t1\t{32768 + 10 * (at % 99)}\t2\t" for at in range(N)]
        recording = readers.open_recording(opensignals(tmp_path, device, rows))
        assert recording.leads == ("ECG",)
        np.testing.assert_allclose(lead(recording)[:3], np.arange(3) * 10 / 65536 * 3, rtol=1e-5)

    def test_numbers_that_are_converted_already_are_millivolts(self, tmp_path: Path) -> None:
        rows = [f"{at % 16}\t0\t0\t1\t1\t{value}\t" for at, value in enumerate(MV.tolist())]
        recording = readers.open_recording(opensignals(tmp_path, {}, rows))
        np.testing.assert_allclose(lead(recording), MV, rtol=1e-6)

    @pytest.mark.parametrize("device", [{"device": "other"}, {"sensor": ["RAW"]}, {"resolution": []}])
    def test_an_unknown_unit_is_said(self, tmp_path: Path, device: dict[str, object]) -> None:
        recording = readers.open_recording(opensignals(tmp_path, device, BITALINO))
        assert "the unit of column 6 is unknown, and its numbers are read as mV" in recording.notes

    def test_a_header_without_a_rate_still_gives_unit_and_lead(self, tmp_path: Path) -> None:
        path = opensignals(tmp_path, {}, BITALINO)
        path.write_text(path.read_text().replace('"sampling rate": 1000, ', ""))
        recording = readers.open_recording(path, fs=500)
        assert (recording.fs, recording.leads) == (500, ("ECG",))
        np.testing.assert_allclose(lead(recording), (STORED / 1024 - 0.5) * 3.3 / 1100 * 1000, rtol=1e-5)

    def test_two_recorders_of_different_rates_are_not_mixed_up(self, tmp_path: Path) -> None:
        device = {"sensor": ["ECG"], "column": ["A1"], "label": ["A1"], "device": "bitalino"}
        both = {"a": device | {"sampling rate": 1000}, "b": device | {"sampling rate": 250}}
        rows = "".join(f"{value}\t{value}\n" for value in STORED.tolist())
        path = write(tmp_path, f"# OpenSignals\n# {json.dumps(both)}\n# EndOfHeader\n{rows}", name="b.txt")
        with pytest.raises(UnreadableError, match=r"may be 1000 or 250 Hz\. Give the right one with --fs"):
            readers.open_recording(path)
        assert readers.open_recording(path, fs=250).fs == 250

    def test_another_sensor_is_no_lead(self, tmp_path: Path) -> None:
        path = opensignals(tmp_path, {"sensor": ["EMG"]}, BITALINO)
        with pytest.raises(UnreadableError, match="no column with the name of an ECG lead"):
            readers.open_recording(path)

    @pytest.mark.parametrize("device", [{"column": 5}, {"label": ["A1", "A2"]}, {"sampling rate": "x"}])
    def test_a_damaged_header_is_none(self, tmp_path: Path, device: dict[str, object]) -> None:
        path = opensignals(tmp_path, device, BITALINO)
        assert not readers.is_recording(path)
        with pytest.raises(UnreadableError, match="no sampling rate"):
            readers.open_recording(path)


class TestColumns:
    def test_counters_and_other_sensors_are_left_out_and_said(self, tmp_path: Path) -> None:
        header = "sample,ECG,ecg_packet_number,ECG counter,battery,temperature,ax,ay,az,status,ECG lead off"
        path = write(tmp_path, header + "\n" + "1,0.5,3,4,5,6,7,8,9,10,11\n" * 9)
        recording = readers.open_recording(path, fs=250)
        assert recording.leads == ("ECG",)
        assert recording.notes == (
            "columns 3, 4, 5, 6, 7, 8, 9, 10, 11 are left out: they are not ECG leads",
        )

    def test_without_names_a_number_that_counts_again_and_again_is_no_lead(self, tmp_path: Path) -> None:
        text = "\n".join(f"{at % 16},{value}" for at, value in enumerate(MV.tolist()))
        recording = readers.open_recording(write(tmp_path, text), fs=250)
        assert recording.leads == ("lead 1",)
        assert recording.notes == ("column 1 is left out: it is not an ECG lead",)

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_the_unit_of_the_user_counts_for_leads_without_one(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a.{suffix}"
        if suffix == "csv":
            write(tmp_path, "II,V1 (mV)\n" + "500.5,0.5\n" * 9)
        else:
            parquet.write_table(pa.table({"II": [500.5] * 9, "V1 (mV)": [0.5] * 9}), path)
        recording = readers.open_recording(path, fs=250, unit="uV")
        np.testing.assert_allclose(recording.read(0, 1), [[0.5005, 0.5]], rtol=1e-6)
        assert recording.notes == ("lead II is read in uV, as given: the file has no known unit",)
