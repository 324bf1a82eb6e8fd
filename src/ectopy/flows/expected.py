"""Conditions that a flow expects: the run fails with one line, and its log has no traceback."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect.states import Failed

from ectopy.batch.faults import reason_of

P = ParamSpec("P")
R = TypeVar("R")


def without_traceback(function: Callable[P, R]) -> Callable[P, R]:
    """Return a flow's function that fails with the message of an error that a user can correct.

    Other errors are bugs, and keep their traceback.

    Whoever calls the flow from Python gets the error itself.

    Parameters
    ----------
    function
        The function of the flow.

    Returns
    -------
    The function to decorate with ``flow``.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (ValueError, OSError) as error:
            if not isinstance(error, OSError) and not type(error).__module__.startswith("ectopy."):
                raise
            return Failed(message=reason_of(error), data=error)  # type: ignore[return-value] # as Prefect wants it

    return run
