"""Memory that a process keeps although it has been freed."""

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE_BYTES = 1 << 20


def return_memory_at_once() -> None:
    """Have arrays of a megabyte or more go back to the system as soon as they are freed, if glibc is used.

    Otherwise glibc raises its limit to 32 MB (``man mallopt``). Freed arrays then stay with the process, in
    pieces. The server of a review, which lives for hours, would keep a third more memory than it needs.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
