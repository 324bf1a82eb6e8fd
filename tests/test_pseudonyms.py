"""Where a salt is set, no name of a file is in anything that is written, said or raised."""

import csv
import hashlib
import hmac
import logging
import pickle
from pathlib import Path

import pytest

from ectopy import cli
from ectopy.batch import planning
from ectopy.batch.pseudonyms import Pseudonyms, RedactedError
from ectopy.batch.storage import UnreachableError
from ectopy.ecg import UnreadableError
from tests.small import write_model, write_record

SALT = "a salt of the tests alone"
NAME = "Doe_Jane-1960"
HIDDEN = "p-" + hmac.new(SALT.encode(), NAME.encode(), hashlib.sha256).hexdigest()[:16]
SOMEBODY = ("Doe", "Jane", "1960", "ward")
"""No part of it may be anywhere; the folder ``ward 7`` is as telling as the file."""


@pytest.fixture
def pseudonyms() -> Pseudonyms:
    return Pseudonyms(SALT)


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    return tmp_path / "ward 7"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


def names_nobody(text: str) -> bool:
    return not any(part in text for part in SOMEBODY)


class TestNames:
    def test_a_pseudonym_is_64_bits_of_a_keyed_hash(self, pseudonyms: Pseudonyms) -> None:
        assert pseudonyms.of(NAME) == HIDDEN

    def test_another_salt_makes_other_names(self, pseudonyms: Pseudonyms) -> None:
        assert Pseudonyms(SALT + ".").of(NAME) != pseudonyms.of(NAME)

    def test_a_name_that_is_no_unicode_has_one_too(self, pseudonyms: Pseudonyms) -> None:
        assert pseudonyms.of("M\udcfcller") != pseudonyms.of("Mller")

    def test_the_salt_is_in_no_representation(self, pseudonyms: Pseudonyms) -> None:
        assert SALT not in repr(planning.ScoreOptions(Path("m"), pseudonyms=pseudonyms))
        assert pickle.loads(pickle.dumps(pseudonyms)) == pseudonyms  # it goes to other processes all the same


class TestText:
    def hide(self, text: str, *names: str) -> str:
        return Pseudonyms(SALT).redact(text, [Path("/in/ward 7") / name for name in names])

    def test_path_name_and_stem_are_replaced_and_folders_left_out(self) -> None:
        text = f"/in/ward 7/{NAME}.hea: {NAME}.dat is not beside {NAME}"
        expected = f"{HIDDEN}.hea: {HIDDEN}.dat is not beside {HIDDEN}"
        assert self.hide(text, f"{NAME}.hea", f"{NAME}.dat") == expected

    def test_a_short_name_is_hidden_where_it_stands_alone(self) -> None:
        short = Pseudonyms(SALT).of("a")
        assert self.hide("a.edf: a sampling rate", "a.edf") == f"{short}.edf: {short} sampling rate"
        assert self.hide("a sampling rate at all", "al.edf") == "a sampling rate at all"

    def test_signs_in_a_name_are_no_pattern(self) -> None:
        assert names_nobody(self.hide("Doe (Jane) [1960]+.edf: broken", "Doe (Jane) [1960]+.edf"))


class TestErrors:
    def raised(self, source: Path, error: Exception) -> Exception:
        kind = RedactedError if isinstance(error, KeyError) else type(error)
        with pytest.raises(kind) as caught, Pseudonyms(SALT).redacting(source):
            raise error
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__  # no traceback tells the first one either
        return caught.value

    def test_one_of_a_reader_keeps_its_kind_and_reason(self, ward: Path) -> None:
        error = UnreadableError(f"{ward}/{NAME}.edf: 500 bytes expected, 3 came")
        told = self.raised(ward / f"{NAME}.edf", error)
        assert str(told) == f"{HIDDEN}: 500 bytes expected, 3 came"

    def test_one_of_a_file_that_a_broken_header_names_is_of_the_header(self, ward: Path) -> None:
        error = UnreadableError(f"{ward}/Jane part 2.hea: a WFDB header expected, no such file")
        told = self.raised(ward / f"{NAME}.hea", error)
        assert str(told) == f"{HIDDEN}: a WFDB header expected, no such file"

    def test_one_of_the_system_keeps_its_number(self, ward: Path) -> None:
        told = self.raised(ward / f"{NAME}.edf", OSError(28, "No space left on device", str(ward / NAME)))
        assert isinstance(told, OSError)
        assert (told.errno, told.strerror, told.filename) == (28, f"{HIDDEN}: No space left on device", None)

    def test_one_of_an_address_that_did_not_answer_is_still_one(self) -> None:
        # The inbox tries again where it was the network's fault.
        address = f"s3://ward/{NAME}.edf"
        told = self.raised(Path(address), UnreachableError(f"{address}: ConnectTimeout: {address}"))
        assert str(told) == f"{HIDDEN}: UnreachableError"

    def test_one_that_nobody_foresaw_is_told_by_its_kind(self, ward: Path) -> None:
        told = self.raised(ward / f"{NAME}.edf", KeyError(f"{ward}/{NAME}"))
        assert str(told) == f"{HIDDEN}: KeyError"

    def test_lines_of_the_log_are_hidden_and_others_later_are_not(
        self, ward: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = ward / f"{NAME}.edf"
        logger = logging.getLogger("ectopy.readers.validation")
        with Pseudonyms(SALT).redacting(source):
            logger.warning("%s: leads of other sampling rates are not read (number of leads: %d)", source, 2)
        logger.warning("Jane")
        assert caplog.messages == [
            f"{HIDDEN}.edf: leads of other sampling rates are not read (number of leads: 2)",
            "Jane",
        ]


class TestScoring:
    """The command, from the setting to every byte that it writes."""

    @pytest.fixture
    def scored(
        self,
        ward: Path,
        model: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> Path:
        """Two of one name in two folders, one that is broken, and one whose file is not there."""
        monkeypatch.setenv("ECTOPY_PSEUDONYM_SALT", SALT)
        write_record(ward, NAME)
        write_record(ward / "Jane", NAME)
        (ward / "Jane_broken.edf").write_bytes(b"0" + b" " * 400)
        (ward / "Jane_lone.hea").write_text("Jane_lone 1 250 100\nDoe_signals.dat 16 100 16 0 0 0 0 II\n")
        with pytest.raises(SystemExit, match="1"):
            cli.main(
                ["score", str(ward), "--out", str(tmp_path / "out"), "--model", str(model), "--workers", "2"]
            )
        said = capsys.readouterr()
        assert names_nobody(said.out + said.err)
        return tmp_path / "out"

    def test_names_are_nowhere(self, scored: Path) -> None:
        files = [path for path in scored.rglob("*") if path.is_file()]
        assert len(files) == 2 + 2 * 6  # the summary and the index, and six of each recording
        assert all(names_nobody(str(path.relative_to(scored))) for path in files)
        assert all(names_nobody(path.read_bytes().decode("latin-1")) for path in files)

    def test_failures_are_told_with_their_reasons(self, scored: Path) -> None:
        with (scored / "summary.csv").open(newline="") as file:
            rows = {row["recording"]: row for row in csv.DictReader(file)}
        of = Pseudonyms(SALT).of
        assert rows.keys() == {HIDDEN, f"{HIDDEN}-2", of("Jane_broken"), of("Jane_lone")}
        missing = (
            f"{of('Jane_lone')}: signal file {of('Doe_signals')}.dat not found in the same folder. "
            "Copy it there or correct the header."
        )
        assert rows[of("Jane_lone")]["reason"] == missing
        assert rows[HIDDEN]["path"] == of(str(scored.parent / "ward 7" / f"{NAME}.hea"))

    def test_links_and_what_a_header_says_name_nobody_either(
        self,
        ward: Path,
        model: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("ECTOPY_PSEUDONYM_SALT", SALT)
        inbox = tmp_path / "in"
        inbox.mkdir()
        target = write_record(ward, NAME)
        (inbox / "link.hea").symlink_to(target)
        (ward / "Jane_broken.edf").write_bytes(b"0".ljust(400))
        (inbox / "broken.edf").symlink_to(ward / "Jane_broken.edf")
        unit = write_record(inbox, "m1")
        unit.write_text(unit.read_text().replace("1000/mV", "1000/Jane_Doe"))
        outside = write_record(inbox, "outside")
        (inbox / "Doe_1960.dat").symlink_to(target.with_suffix(".dat"))
        outside.write_text(outside.read_text().replace("outside.dat", "Doe_1960.dat"))
        (inbox / "unreadable.hea").symlink_to(ward / "Jane.hea")
        paths = [str(path) for path in sorted(inbox.iterdir()) if path.suffix != ".dat"]
        with pytest.raises(SystemExit, match="1"):
            cli.main(
                ["score", *paths, "--out", str(tmp_path / "out"), "--model", str(model), "--workers", "1"]
            )
        said = capsys.readouterr()
        assert "5 recordings: 5 failed" in said.out
        assert names_nobody(said.out + said.err)
        files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        assert all(names_nobody(path.read_bytes().decode("latin-1")) for path in files)

    def test_a_second_run_knows_each_again(
        self, scored: Path, ward: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            cli.main(["score", str(ward), "--out", str(scored), "--model", str(model)])
        assert "4 recordings: 2 failed, 2 skipped" in capsys.readouterr().out


class TestCommand:
    @pytest.mark.parametrize("command", [("pseudonyms", "show"), ("pseudonym",)])
    def test_it_shows_the_pseudonym_of_a_recording(
        self,
        command: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("ECTOPY_PSEUDONYM_SALT", SALT)
        with pytest.raises(SystemExit, match="0"):
            cli.main([*command, NAME])
        assert capsys.readouterr().out == f"{HIDDEN}\t{NAME}\n"

    def test_without_a_salt_there_are_none(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("ECTOPY_PSEUDONYM_SALT", raising=False)
        with pytest.raises(SystemExit, match="2"):
            cli.main(["pseudonyms", "show", NAME])
        assert capsys.readouterr().err == (
            "ectopy: ECTOPY_PSEUDONYM_SALT is not set. Set it to the salt that the results were made with.\n"
        )

    def test_a_salt_that_could_be_tried_out_is_refused_unshown(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("ECTOPY_PSEUDONYM_SALT", "fifteen letters")
        with pytest.raises(SystemExit, match="2"):
            cli.main(["pseudonyms", "show", NAME])
        said = capsys.readouterr().err
        assert said.startswith("ectopy: ECTOPY_PSEUDONYM_SALT: ")
        assert "fifteen" not in said
