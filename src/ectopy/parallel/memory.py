"""Memory that a process keeps although it has been freed."""

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # of malloc.h
_LARGE_BYTES, _BLOCK_BYTES, _KEPT_BYTES = 1 << 20, 8 << 20, 64 << 20
_NEVER = (1 << 31) - 1


def return_memory_at_once() -> None:
    """Have arrays of a megabyte or more go back to the system as soon as they are freed, if glibc is used.

    Otherwise glibc raises its limit to 32 MB (``man mallopt``). Freed arrays then stay with the process, in
    pieces. The server of a review, which lives for hours, would keep a third more memory than it needs.
    """
    _mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def keep_memory_of_blocks() -> None:
    """Have arrays of less than 8 MB stay with the process when they are freed, if glibc is used.

    Otherwise those of a block of signal come from the system each time, which clears their pages: that takes
    almost half as long as the analysis. Larger arrays are those of all beats of a long recording: they are
    few, and would leave holes. This undoes :func:`return_memory_at_once`.
    """
    _mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES)
    _mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def return_freed_memory() -> None:
    """Have all memory that is free go back to the system now, if glibc is used.

    Otherwise much of it stays with the process: each thread has a heap of its own, and large arrays leave
    holes between small ones.
    """
    _call_glibc("malloc_trim", 0)


def share_one_heap() -> None:
    """Have the threads that start later share the heap of this one, if glibc is used.

    Otherwise each has its own, and what one has freed is of no use to another. :func:`return_freed_memory`
    does not reach the end of such a heap either.
    """
    _mallopt(_M_ARENA_MAX, 1)


def keep_freed_memory() -> None:
    """Have all freed memory stay with the process, which uses it again, if glibc is used.

    Otherwise large arrays come from the system each time, which clears their pages. A training allocates the
    same arrays in each of its steps, and a third of its CPU time would go there. Threads that start later
    share one heap: one of their own would still go back when it is empty.
    """
    share_one_heap()
    _mallopt(_M_MMAP_MAX, 0)
    _mallopt(_M_TRIM_THRESHOLD, _NEVER)


def _mallopt(parameter: int, value: int) -> None:
    _call_glibc("mallopt", parameter, value)


def _call_glibc(function: str, *arguments: int) -> None:
    with suppress(OSError, AttributeError, TypeError):
        getattr(ctypes.CDLL(None), function)(*arguments)
