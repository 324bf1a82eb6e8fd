"""Whose fault an error is: that of the recording, or that of the machine.

Only what reading and analysing a recording did is its fault. A model that is missing, a library that cannot
be imported, a disk that is full: no recording is to blame for these, and each one waits.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ectopy.parallel.worker_pool import LimitExceededError, WorkerDiedError
from ectopy.printable import printable


class MachineError(RuntimeError):
    """An error of the model, a library, a disk or the output folder; no recording is to blame."""


class UnforeseenError(RuntimeError):
    """An error in the analysis of one recording that no code foresaw; it counts as a crash."""


_EXPECTED = (ValueError, OSError, WorkerDiedError, LimitExceededError, MachineError, UnforeseenError)


def reason_of(error: Exception) -> str:
    """Return the message of an error as one line, with the type of error if it is unexpected."""
    message = (isinstance(error, _EXPECTED) and str(error)) or repr(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror}. Check the permissions and the disk."
    return printable(" ".join(message.split()))


@contextmanager
def machine_at_fault() -> Iterator[None]:
    """Turn every error of the block into a MachineError."""
    try:
        yield
    except MachineError:
        raise
    except Exception as error:
        raise MachineError(reason_of(error)) from error


@contextmanager
def recording_at_fault() -> Iterator[None]:
    """Pass on the errors of a recording; raise others as MachineError or UnforeseenError.

    A file that the system does not hand out (no permission, failing disk) is no fault of the recording. A
    file that is missing is one.
    """
    from ectopy.ecg import NotAnalysableError, UnreadableError  # in a worker only: they import numpy
    from ectopy.model.classifier import ModelError

    try:
        yield
    except (NotAnalysableError, MemoryError, MachineError, UnforeseenError):
        raise
    except UnreadableError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
            raise MachineError(reason_of(error)) from error
        raise
    except (OSError, ImportError, ModelError) as error:
        raise MachineError(reason_of(error)) from error
    except Exception as error:
        raise UnforeseenError(reason_of(error)) from error
