"""Pseudonyms: keyed hashes in place of file names, in outputs, task names, logs and errors."""

import hmac
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager as Context
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectopy.batch.faults import MachineError, UnforeseenError
from ectopy.printable import hide_quotes

if TYPE_CHECKING:
    from pydantic import SecretStr


class RedactedError(ValueError):
    """An error whose message had file names in it, which were replaced."""


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms made with a secret salt. Anyone who has the salt can test which name has which pseudonym."""

    salt: str = field(repr=False)

    def of(self, name: str) -> str:
        """Return the pseudonym of a name, always the same: 64 bits of HMAC-SHA256."""
        digest = hmac.digest(self.salt.encode(), name.encode(errors="surrogateescape"), "sha256")
        return f"p-{digest[:8].hex()}"

    def redact(self, text: str, files: Iterable[Path]) -> str:
        """Replace the names of files in a text by pseudonyms; remove their folders and what the text quotes.

        Parameters
        ----------
        text
            The text, such as an error message.
        files
            The files whose names must not appear.

        Returns
        -------
        The text without these names.
        """
        paths = list(files)
        folders = {str(path.parent) for path in paths}
        folders |= {re.sub(r"^(\w+):/(?!/)", r"\1://", folder) for folder in folders}  # those of an address
        for folder in sorted(folders, key=len, reverse=True):
            text = text.replace(f"{folder}/", "").replace(folder, "")
        names = {path.name: self.of(path.stem) + path.suffix for path in paths}
        names |= {path.stem: self.of(path.stem) for path in paths}
        # As a whole word: otherwise a file named "a" would make every message unreadable.
        for name in sorted(names, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", names[name], text)
        return hide_quotes(text)

    @contextmanager
    def redacting(self, source: Path, *others: Path) -> Iterator[None]:
        """Replace the names of a recording, and of other files, in log records and errors of this block."""
        from ectopy.ecg import UnreadableError  # in a worker only: they import numpy
        from ectopy.readers import companion_files

        files = [source, *others]
        with suppress(UnreadableError, OSError):
            files += companion_files(source)
        with suppress(OSError, RuntimeError):  # a link to itself
            files += [target for file in files if (target := file.resolve()) != file.absolute()]
        original = logging.getLogRecordFactory()
        logging.setLogRecordFactory(self._redacting_factory(files, original))
        try:
            yield
        except MemoryError:  # it names nothing, and limits are recognised by it
            raise
        except Exception as error:  # noqa: BLE001 - any error may name a file
            raise self._redacted(error, files) from None
        finally:
            logging.setLogRecordFactory(original)

    def _redacted(self, error: Exception, files: list[Path]) -> Exception:
        """Return an error without names; errors of other packages keep their type only."""
        from ectopy.ecg import NotAnalysableError, UnreadableError

        # These keep their kind, because it decides what becomes of the recording.
        kept = (UnreadableError, NotAnalysableError, MachineError, UnforeseenError)
        name = self.of(files[0].stem)
        if isinstance(error, MachineError | UnforeseenError) and isinstance(error.__cause__, Exception):
            return type(error)(str(self._redacted(error.__cause__, files)))
        ours = type(error).__module__.partition(".")[0] == "ectopy"
        if isinstance(error, OSError):
            kind = type(error) if ours or type(error).__module__ == "builtins" else OSError
            text = f"{name}: {error.strerror or type(error).__name__}"
            return kind(text) if error.errno is None else kind(error.errno, text)
        if not ours:
            return RedactedError(f"{name}: {type(error).__name__}")
        text = str(error)
        for folder in sorted({str(file.parent) for file in files}, key=len, reverse=True):
            if text.startswith(folder):  # the message may name a file that is not known to belong here
                text = f"{name}: {text.removeprefix(folder).partition(': ')[2]}"
        text = self.redact(text, files)
        return type(error)(text) if isinstance(error, kept) else RedactedError(text)

    def _redacting_factory(
        self, files: list[Path], original: Callable[..., Any]
    ) -> Callable[..., logging.LogRecord]:
        def factory(*args: Any, **more: Any) -> logging.LogRecord:
            record: logging.LogRecord = original(*args, **more)
            record.msg, record.args = self.redact(record.getMessage(), files), ()
            return record

        return factory


def from_salt(salt: "SecretStr | None") -> Pseudonyms | None:
    """Return the pseudonyms of the setting ECTOPY_PSEUDONYM_SALT; None if it is not set."""
    return Pseudonyms(salt.get_secret_value()) if salt else None


def redact_names(pseudonyms: Pseudonyms | None, source: Path, *others: Path) -> Context[None]:
    """Return a context whose log records and errors do not name a recording, if there are pseudonyms.

    Parameters
    ----------
    pseudonyms
        The pseudonyms; None leaves everything unchanged.
    source
        The file of the recording.
    others
        Other files that must not be named, such as its diary.

    Returns
    -------
    A context manager.
    """
    return pseudonyms.redacting(source, *others) if pseudonyms else nullcontext()
