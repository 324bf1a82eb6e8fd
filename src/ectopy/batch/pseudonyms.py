"""Names that tell nobody: keyed hashes for what recordings are called, in outputs, tasks, logs and errors."""

import hmac
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager as Context
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectopy.ecg import UnreadableError
from ectopy.readers import companion_files

if TYPE_CHECKING:
    from pydantic import SecretStr


class HiddenError(ValueError):
    """An error that was told without the names that were in it."""


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms by a salt, which is a secret: whoever has it can try names out."""

    salt: str = field(repr=False)

    def of(self, name: str) -> str:
        """Give the pseudonym of a name, the same each time: 64 bits of HMAC-SHA256."""
        digest = hmac.digest(self.salt.encode(), name.encode(errors="surrogateescape"), "sha256")
        return f"p-{digest[:8].hex()}"

    def hide(self, text: str, named: Iterable[Path]) -> str:
        """Put pseudonyms where a text names one of these files; the folders they lie in are left out."""
        paths = list(named)
        for folder in sorted({str(path.parent) for path in paths}, key=len, reverse=True):
            text = text.replace(f"{folder}/", "").replace(folder, "")
        names = {path.name: self.of(path.stem) + path.suffix for path in paths}
        names |= {path.stem: self.of(path.stem) for path in paths}
        # As a whole word, so that a file called "a" makes no riddle of every message.
        for name in sorted(names, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", names[name], text)
        return text

    @contextmanager
    def hiding(self, source: Path) -> Iterator[None]:
        """Keep the names of a recording out of the log and out of what is raised."""
        named = [source]
        with suppress(UnreadableError, OSError):
            named += companion_files(source)
        before = logging.getLogRecordFactory()
        logging.setLogRecordFactory(self._without(named, before))
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is may name a file
            raise self._without_names(error, named) from None
        finally:
            logging.setLogRecordFactory(before)

    def _without_names(self, error: Exception, named: list[Path]) -> Exception:
        """Tell an error of ours again; of others, which quote in ways of their own, no more than its kind."""
        name = self.of(named[0].stem)
        own = type(error).__module__.partition(".")[0] == "ectopy"
        if isinstance(error, OSError):
            kind = type(error) if own or type(error).__module__ == "builtins" else OSError
            text = f"{name}: {error.strerror or type(error).__name__}"
            return kind(text) if error.errno is None else kind(error.errno, text)
        if not own:
            return HiddenError(f"{name}: {type(error).__name__}")
        text, folder = str(error), str(named[0].parent)
        if text.startswith(folder):  # of a file that could not be said to belong here, perhaps
            text = f"{name}: {text.removeprefix(folder).partition(': ')[2]}"
        text = self.hide(text, named)
        return UnreadableError(text) if isinstance(error, UnreadableError) else HiddenError(text)

    def _without(self, named: list[Path], make: Callable[..., Any]) -> Callable[..., logging.LogRecord]:
        def hidden(*args: Any, **more: Any) -> logging.LogRecord:
            record: logging.LogRecord = make(*args, **more)
            record.msg, record.args = self.hide(record.getMessage(), named), ()
            return record

        return hidden


def from_salt(salt: "SecretStr | None") -> Pseudonyms | None:
    """Give the pseudonyms that the settings ask for."""
    return Pseudonyms(salt.get_secret_value()) if salt else None


def redact_names(pseudonyms: Pseudonyms | None, source: Path) -> Context[None]:
    """Hide the names of a recording where pseudonyms are asked for."""
    return pseudonyms.hiding(source) if pseudonyms else nullcontext()
