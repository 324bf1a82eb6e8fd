"""WFDB annotation files, written and read back; the true ones count what the database says."""

import struct
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ectopy.annotations import CODES, Annotations, read_annotations, write_annotations
from ectopy.ecg import UnreadableError

FS = 360.0


def annotations_of(*marks: tuple[int, str, int, str]) -> Annotations:
    sample, symbol, subtype, aux = zip(*marks, strict=True)
    return Annotations(
        np.array(sample, dtype=np.int64), np.array(symbol), np.array(subtype, dtype=np.int64), aux
    )


EVERY_KIND = annotations_of(
    (0, "~", -1, ""),  # a shutdown begins
    (400, "~", 0, ""),
    (500, "+", 0, "(AFIB"),
    (501, "N", 0, ""),
    (700, "S", 0, ""),
    (900, "V", 0, ""),
    (1300, "F", 0, ""),
    (1700, "Q", 0, ""),
    (2000, '"', 0, "not analysable: flat"),
)


def read_back(folder: Path, annotations: Annotations) -> Annotations:
    write_annotations(folder / "r", "ectopy", annotations, fs=FS)
    return read_annotations(folder / "r", "ectopy")


class TestWrittenAndReadBack:
    def test_every_mark_keeps_time_symbol_subtype_and_text(self, tmp_path: Path) -> None:
        back = read_back(tmp_path, EVERY_KIND)
        assert len(back) == 9
        assert back.sample.tolist() == EVERY_KIND.sample.tolist()
        assert back.symbol.tolist() == EVERY_KIND.symbol.tolist()
        assert back.subtype.tolist() == EVERY_KIND.subtype.tolist()
        assert back.aux == EVERY_KIND.aux

    @pytest.mark.parametrize("at_once", [1, 2, 4, 100])
    def test_parts_are_written_as_the_whole(self, tmp_path: Path, at_once: int) -> None:
        write_annotations(tmp_path / "r", "whole", EVERY_KIND, fs=FS)
        cut = [slice(at, at + at_once) for at in range(0, len(EVERY_KIND), at_once)]
        columns = (EVERY_KIND.sample, EVERY_KIND.symbol, EVERY_KIND.subtype, EVERY_KIND.aux)
        parts = [Annotations(*(column[part] for column in columns)) for part in cut]
        nothing = Annotations(*(column[:0] for column in columns))
        write_annotations(tmp_path / "r", "parts", iter([nothing, *parts, nothing]), fs=FS)
        assert (tmp_path / "r.parts").read_bytes() == (tmp_path / "r.whole").read_bytes()

    def test_parts_that_are_not_in_order_of_time_are_refused(self, tmp_path: Path) -> None:
        parts = [annotations_of((9, "N", 0, "")), annotations_of((8, "N", 0, ""))]
        with pytest.raises(ValueError, match="order"):
            write_annotations(tmp_path / "r", "parts", parts, fs=FS)

    def test_types_are_those_of_the_nouns(self, tmp_path: Path) -> None:
        back = read_back(tmp_path, EVERY_KIND)
        assert [column.dtype.str for column in (back.sample, back.symbol, back.subtype)] == [
            "<i8",
            "<U1",
            "<i8",
        ]

    def test_a_gap_of_hours_is_kept_to_the_sample(self, tmp_path: Path) -> None:
        # The format counts ten bits; longer gaps are marks of their own (SKIP).
        late = 24 * 3600 * 360 + 1
        back = read_back(tmp_path, annotations_of((5, "N", 0, ""), (1028, "N", 0, ""), (late, "V", 0, "")))
        assert back.sample.tolist() == [5, 1028, late]

    def test_a_mark_on_the_first_sample_stays_there(self, tmp_path: Path) -> None:
        back = read_back(tmp_path, annotations_of((0, "N", 0, ""), (300, "V", 0, "")))
        assert back.sample.tolist() == [0, 300]

    @pytest.mark.no_cover
    def test_a_hundred_thousand_beats_come_back(self, tmp_path: Path) -> None:
        n = 100_000
        sample = np.cumsum(np.random.default_rng(5).integers(100, 2000, n))
        beats = Annotations(sample, np.array(["N", "V"] * (n // 2)), np.zeros(n, dtype=np.int64), ("",) * n)
        np.testing.assert_array_equal(read_back(tmp_path, beats).sample, sample)

    def test_texts_of_odd_and_even_length_end_where_they_end(self, tmp_path: Path) -> None:
        marks = [(100 * number, "+", 0, "(" + "A" * number) for number in range(1, 6)]
        assert read_back(tmp_path, annotations_of(*marks)).aux == ("(A", "(AA", "(AAA", "(AAAA", "(AAAAA")

    def test_other_programs_read_the_rate_with_it(self, tmp_path: Path) -> None:
        write_annotations(tmp_path / "r", "ectopy", EVERY_KIND, fs=FS)
        assert wfdb.rdann(str(tmp_path / "r"), "ectopy").fs == FS

    def test_a_code_that_wfdb_leaves_undefined_is_no_escape_beat(self, tmp_path: Path) -> None:
        # Code 42 at sample 100, then a V (5) 50 samples on; wfdb gives the first the symbol NaN.
        (tmp_path / "r.x").write_bytes(struct.pack("<HHH", 42 << 10 | 100, 5 << 10 | 50, 0))
        assert read_annotations(tmp_path / "r", "x").symbol.tolist() == ["", "V"]

    def test_a_recording_name_may_hold_dashes_and_underscores(self, tmp_path: Path) -> None:
        write_annotations(tmp_path / "100-2_b", "ectopy", EVERY_KIND, fs=FS)
        assert len(read_annotations(tmp_path / "100-2_b", "ectopy")) == 9


def as_wfdb_writes(folder: Path, annotations: Annotations, fs: float) -> bytes:
    wfdb.wrann(
        "w",
        "atr",
        annotations.sample,
        symbol=annotations.symbol.tolist(),
        subtype=annotations.subtype,
        aux_note=list(annotations.aux),
        fs=fs,
        write_dir=str(folder),
    )
    return (folder / "w.atr").read_bytes()


class TestTheBytesAreThoseOfWfdb:
    @pytest.mark.parametrize("fs", [360.0, 128.0, 127.5, 1000.0, 256.41025])
    def test_of_every_kind_of_mark_at_every_rate(self, tmp_path: Path, fs: float) -> None:
        write_annotations(tmp_path / "r", "x", EVERY_KIND, fs=fs)
        assert (tmp_path / "r.x").read_bytes() == as_wfdb_writes(tmp_path, EVERY_KIND, fs)

    def test_of_gaps_on_either_side_of_what_ten_bits_and_a_skip_hold(self, tmp_path: Path) -> None:
        gaps = [0, 1, 1022, 1023, 1024, 65_535, 65_536, 2**31 - 2, 2**31 - 1, 2**31, 2**32 + 5]
        marks = [(at, "N", 0, "") for at in np.cumsum(gaps).tolist()]
        write_annotations(tmp_path / "r", "x", annotations_of(*marks), fs=FS)
        assert (tmp_path / "r.x").read_bytes() == as_wfdb_writes(tmp_path, annotations_of(*marks), FS)

    def test_of_every_symbol_that_wfdb_has(self, tmp_path: Path) -> None:
        table = {label.symbol: label.label_store for label in wfdb.io.annotation.ann_labels}
        assert table == CODES
        symbols = [symbol for symbol in table if symbol != " "]  # no mark, and wfdb writes none
        marks = annotations_of(*((300 * number, mark, 0, "") for number, mark in enumerate(symbols, 1)))
        write_annotations(tmp_path / "r", "x", marks, fs=FS)
        assert (tmp_path / "r.x").read_bytes() == as_wfdb_writes(tmp_path, marks, FS)


class TestWhatCannotBeWritten:
    def test_marks_that_go_back_in_time(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"annotations are not in order of time\. Sort them"):
            write_annotations(tmp_path / "r", "x", annotations_of((9, "N", 0, ""), (8, "N", 0, "")), fs=FS)

    def test_a_later_part_that_goes_back_in_time_leaves_the_file_that_was_there(self, tmp_path: Path) -> None:
        write_annotations(tmp_path / "r", "x", annotations_of((7, "V", 0, "")), fs=FS)
        before = (tmp_path / "r.x").read_bytes()
        parts = [annotations_of((9, "N", 0, "")), annotations_of((8, "N", 0, ""))]
        with pytest.raises(ValueError, match=r"annotations are not in order of time"):
            write_annotations(tmp_path / "r", "x", parts, fs=FS)
        assert (tmp_path / "r.x").read_bytes() == before

    def test_a_symbol_that_wfdb_does_not_have(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"unknown annotation symbols: Z\. Use the symbols of WFDB"):
            write_annotations(tmp_path / "r", "x", annotations_of((9, "Z", 0, "")), fs=FS)

    def test_a_text_that_its_byte_of_length_does_not_hold(self, tmp_path: Path) -> None:
        with pytest.raises(
            ValueError, match=r"annotation text of 256 characters, more than the limit of 255\. Shorten it"
        ):
            write_annotations(tmp_path / "r", "x", annotations_of((9, "+", 0, "(" * 256)), fs=FS)


class TestWhatIsNoAnnotationFile:
    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match=r"r\.atr: annotation file not found\. Check the name"):
            read_annotations(tmp_path / "r", "atr")

    def test_a_broken_file_is_an_error_and_not_a_crash(self, tmp_path: Path) -> None:
        (tmp_path / "r.atr").write_bytes(b"\x00")  # half a mark
        with pytest.raises(
            UnreadableError, match=r"r\.atr: not a WFDB annotation file .*\. Copy or export it again"
        ):
            read_annotations(tmp_path / "r", "atr")

    @pytest.mark.parametrize("content", [b"", b"\x00"])
    def test_a_file_without_a_whole_word_has_no_annotation(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "r.atr").write_bytes(content)
        with pytest.raises(
            UnreadableError, match=r"r\.atr: not a WFDB .* \(it has no whole annotation\)\. Copy"
        ):
            read_annotations(tmp_path / "r", "atr")

    def test_a_word_that_is_no_annotation_is_named_by_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "r.atr").write_bytes(struct.pack("<HHH", 1 << 10 | 100, 52 << 10, 0))
        with pytest.raises(UnreadableError, match=r"\(byte 2 is not an annotation\)"):
            read_annotations(tmp_path / "r", "atr")

    def test_a_text_before_the_first_annotation_belongs_to_none(self, tmp_path: Path) -> None:
        (tmp_path / "r.atr").write_bytes(struct.pack("<H2sH", 63 << 10 | 2, b"hi", 0))
        with pytest.raises(UnreadableError, match=r"\(byte 0 is not an annotation\)"):
            read_annotations(tmp_path / "r", "atr")

    def test_a_folder_is_no_annotation_file(self, tmp_path: Path) -> None:
        (tmp_path / "r.atr").mkdir()
        with pytest.raises(UnreadableError, match="annotation file not found"):
            read_annotations(tmp_path / "r", "atr")

    def test_a_file_of_gigabytes_is_refused_before_it_is_decoded(self, tmp_path: Path) -> None:
        with (tmp_path / "r.atr").open("wb") as file:
            file.truncate(2**33)  # a hole: it takes no room
        with pytest.raises(UnreadableError, match="too many for an annotation file"):
            read_annotations(tmp_path / "r", "atr")

    def test_two_lines_of_definitions_do_not_hang(self, tmp_path: Path) -> None:
        # wfdb.rdann never ends on these
        notes = b"".join(
            struct.pack("<HH8s", 22 << 10, 63 << 10 | 8, text) for text in (b"## one..", b"## two..")
        )
        (tmp_path / "r.atr").write_bytes(notes + struct.pack("<HH", 1 << 10 | 100, 0))
        assert read_annotations(tmp_path / "r", "atr").symbol.tolist() == ["N"]


class TestHalfAFile:
    """A file that was cut, at every byte; the marks before the cut are read, and the loss is told."""

    MISSING = ("the annotations have no end mark, so some may be missing",)

    @pytest.fixture
    def whole(self, tmp_path: Path) -> bytes:
        write_annotations(tmp_path / "r", "x", EVERY_KIND, fs=FS)
        return (tmp_path / "r.x").read_bytes()

    def test_a_whole_file_has_no_note(self, tmp_path: Path, whole: bytes) -> None:
        (tmp_path / "r.x").write_bytes(whole)
        assert read_annotations(tmp_path / "r", "x").notes == ()

    def test_a_cut_at_any_byte_is_told_and_keeps_what_comes_before(
        self, tmp_path: Path, whole: bytes
    ) -> None:
        for end in range(2, len(whole)):
            (tmp_path / "r.x").write_bytes(whole[:end])
            found = read_annotations(tmp_path / "r", "x")
            assert found.notes == self.MISSING, end
            assert found.sample.tolist() == EVERY_KIND.sample[: len(found)].tolist()

    def test_a_cut_end_mark_costs_no_annotation(self, tmp_path: Path, whole: bytes) -> None:
        for lost in (1, 2):  # wfdb.rdann refuses the first file and drops the last mark of the second
            (tmp_path / "r.x").write_bytes(whole[:-lost])
            assert read_annotations(tmp_path / "r", "x").symbol.tolist() == EVERY_KIND.symbol.tolist()

    def test_it_is_a_warning_that_names_the_file_and_a_remedy(
        self, tmp_path: Path, whole: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "r.x").write_bytes(whole[: len(whole) // 2])
        read_annotations(tmp_path / "r", "x")
        assert [record.getMessage() for record in caplog.records] == [
            f"{tmp_path / 'r.x'}: {self.MISSING[0]}. Copy or export it again."
        ]

    def test_annotations_after_an_end_mark_are_told(self, tmp_path: Path, whole: bytes) -> None:
        # As after a crash: a block of zeros in the middle of the file.
        (tmp_path / "r.x").write_bytes(whole[:-10] + bytes(16) + whole[-6:])
        assert read_annotations(tmp_path / "r", "x").notes == (
            "the annotations go on after an end mark, and the rest was not read",
        )

    def test_zeros_after_the_end_mark_mean_nothing(self, tmp_path: Path, whole: bytes) -> None:
        (tmp_path / "r.x").write_bytes(whole + bytes(511))
        assert read_annotations(tmp_path / "r", "x").notes == ()


def as_wfdb_reads(path: Path) -> Annotations:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas deprecations inside wfdb
        parsed = wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
    symbols = [mark if isinstance(mark, str) else "" for mark in parsed.symbol]
    aux = tuple(note.rstrip("\0") for note in parsed.aux_note[: len(symbols)])
    return Annotations(parsed.sample, np.array(symbols), np.asarray(parsed.subtype), aux)


@pytest.mark.real
class TestRealAnnotations:
    @pytest.mark.parametrize("record", ["100", "201", "207", "222"])
    def test_they_are_what_wfdb_reads(self, mitdb: Path, record: str) -> None:
        ours, theirs = read_annotations(mitdb / record, "atr"), as_wfdb_reads(mitdb / f"{record}.atr")
        assert ours.sample.tolist() == theirs.sample.tolist()
        assert ours.symbol.tolist() == theirs.symbol.tolist()
        assert ours.subtype.tolist() == theirs.subtype.tolist()
        assert (ours.aux, ours.notes) == (theirs.aux, ())

    def test_record_100_has_the_beats_its_directory_lists(self, mitdb: Path) -> None:
        # mitdbdir: 2239 normal, 33 APC, 1 PVC; and one rhythm mark at the start.
        counts = Counter(read_annotations(mitdb / "100", "atr").symbol.tolist())
        assert counts == {"N": 2239, "A": 33, "V": 1, "+": 1}

    def test_texts_carry_no_nul(self, mitdb: Path) -> None:
        notes = read_annotations(mitdb / "201", "atr").aux
        assert {note for note in notes if note} >= {"(N", "(AFIB", "(T"}
        assert not any("\x00" in note for note in notes)

    def test_all_48_hold_109494_beats(self, mitdb: Path) -> None:
        beats = set("NLRejAaJSVEF/fQ")
        records = sorted(mitdb.glob("*.hea"))
        symbols = [
            symbol for path in records for symbol in read_annotations(path.with_suffix(""), "atr").symbol
        ]
        assert sum(symbol in beats for symbol in symbols) == 109_494

    def test_what_is_written_again_is_the_same(self, mitdb: Path, tmp_path: Path) -> None:
        original = read_annotations(mitdb / "203", "atr")
        back = read_back(tmp_path, original)
        np.testing.assert_array_equal(back.sample, original.sample)
        np.testing.assert_array_equal(back.symbol, original.symbol)
        np.testing.assert_array_equal(back.subtype, original.subtype)
        assert back.aux == original.aux
