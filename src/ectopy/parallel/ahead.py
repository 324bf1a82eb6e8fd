"""Work ahead in a thread: numpy, ONNX Runtime and the loops in C let other threads run meanwhile."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """Apply a function to each item in a thread, one item ahead of the caller.

    Parameters
    ----------
    function
        The function. Its errors are raised where its result would have been yielded.
    items
        Its arguments. They are made in the thread of the caller, one ahead too.

    Yields
    ------
    The results in order.
    """
    with ThreadPoolExecutor(1) as thread:
        ahead: Future[Result] | None = None
        for item in items:
            before, ahead = ahead, thread.submit(function, item)
            if before is not None:
                yield before.result()
        if ahead is not None:
            yield ahead.result()
