"""Where a model fails: the worst records first, and a typical error of each in a strip."""

import numpy as np
import pytest

from ectopy.evaluation import failures
from ectopy.evaluation.failures import find_errors, n_errors, read_excerpt, worst_records
from tests.evaluations import FS, at_s, evaluation_of
from tests.small import write_record


def letters(errors):
    return list(zip(errors.reference.tolist(), errors.test.tolist(), strict=True))


class TestErrors:
    def test_veb_are_missed_as_any_other_class_or_not_found_and_false_where_there_is_none(self):
        examined = evaluation_of("r", "NVVVN.NN", "NNS.NVVN")
        assert letters(find_errors(examined, "veb")) == [
            *(("V", "N"), ("V", "S"), ("V", "O")),
            *(("O", "V"), ("N", "V")),
        ]

    def test_f_or_q_called_v_is_no_error_but_f_called_s_is(self):
        assert letters(find_errors(evaluation_of("r", "NFQNN", "NVVNN"), "veb")) == []
        assert letters(find_errors(evaluation_of("r", "NFQNN", "NSSNN"), "sveb")) == [("F", "S")]

    @pytest.mark.parametrize("kind", failures.KINDS)
    def test_they_are_as_many_as_ec57_counts(self, kind):
        rng = np.random.default_rng(5)
        reference, test = ("N" + "".join(rng.choice(list(some), 200)) for some in ("NNNAVFQ", "NNNSV."))
        examined = evaluation_of("r", reference, test)
        assert len(find_errors(examined, kind).sample) == sum(n_errors(examined.outcome.beats, kind)) > 0

    def test_they_stand_where_their_beat_stands(self):
        assert find_errors(evaluation_of("r", "NNVN", "NNNN"), "veb").sample.tolist() == [round(at_s(2) * FS)]


class TestWorst:
    RECORDS = (
        evaluation_of("few", "NVNN", "NNNN"),
        evaluation_of("none", "NVNN", "NVNN"),
        evaluation_of("many", "NVNVNVNAN", "NNNNNSNNN"),
    )

    def test_they_come_with_most_errors_first_and_without_those_that_have_none(self):
        found = worst_records(self.RECORDS, "veb")
        assert [each.evaluation.record for each in found] == ["many", "few"]

    def test_no_more_than_asked_for(self):
        assert [each.evaluation.record for each in worst_records(self.RECORDS, "veb", n=1)] == ["many"]

    def test_the_typical_error_is_the_middle_one_of_the_commonest(self):
        (most, _) = worst_records(self.RECORDS, "veb")  # V classified as N at 1 and 3, as S at 5
        assert (most.missed, most.false, most.typical) == (3, 0, "V classified as N")
        assert most.sample == round(at_s(3) * FS)
        assert most.share == pytest.approx(2 / 3)

    def test_it_is_told_in_words_and_has_a_picture_of_its_kind(self):
        (one,) = worst_records(self.RECORDS, "sveb", n=1)
        assert one.text.startswith("many, SVEB: 1 missed, 1 false; shown at ")
        assert one.picture_file == "many-sveb.png"

    @pytest.mark.parametrize(
        ("reference", "test", "words"),
        [
            ("NVN", "N.N", "V not detected"),
            ("N.N", "NVN", "V where there is no beat"),
            ("NNN", "NVN", "N classified as V"),
        ],
    )
    def test_words(self, reference, test, words):
        (found,) = worst_records([evaluation_of("r", reference, test)], "veb")
        assert found.typical == words


class TestCut:
    N = 40

    def failure(self, tmp_path, wrong):
        test = "N" * self.N
        reference = test[:wrong] + "V" + test[wrong + 1 :]
        signal = np.arange(round(at_s(self.N) * FS), dtype=np.float32)[:, None] / 1e4
        header = write_record(tmp_path, "r", signal, fs=FS)
        examined = evaluation_of("r", reference, test, path=header.with_suffix(""))
        (found,) = worst_records([examined], "veb")
        return found

    def test_the_error_stands_in_the_middle_with_the_marks_of_both(self, tmp_path):
        piece = read_excerpt(self.failure(tmp_path, 20), length_s=4.0)
        assert piece.start_s == pytest.approx(at_s(20) - 2)
        assert piece.signal.shape == (400, 1)
        assert piece.signal[200, 0] == pytest.approx(at_s(20) * FS / 1e4, abs=1e-3)
        assert "".join(piece.reference.letter) == "NNVNN"
        assert "".join(piece.test.letter) == "NNNNN"
        assert piece.test.time_s[2] == pytest.approx(at_s(20))

    def test_at_the_end_of_the_record_it_ends_with_the_record(self, tmp_path):
        piece = read_excerpt(self.failure(tmp_path, self.N - 1), length_s=4.0)
        assert piece.start_s + 4.0 == pytest.approx(at_s(self.N), abs=0.02)
