"""An array that grows by parts."""

import mmap
from io import BytesIO
from tempfile import gettempdir
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray


class GrowingArray:
    """An array to which parts are added, as a whole in one place.

    A list of parts takes their memory twice when they are concatenated. Until then, each keeps a place
    between other arrays, which leaves holes when those are freed.
    """

    def __init__(self, dtype: DTypeLike, *shape: int, file: BinaryIO | None = None) -> None:
        """Begin without a row; those to come are of a type and a shape.

        They are in memory, or in a temporary file that is read when the array is looked at.
        """
        self._dtype, self._shape = np.dtype(dtype), shape
        self._row_bytes = self._dtype.itemsize * int(np.prod(shape))
        self._file = BytesIO() if file is None else file

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows at the end."""
        self._file.seek(0, 2)
        self._write(rows)

    def put(self, at: int, rows: NDArray[Any]) -> None:
        """Replace the rows from one on, and add those that are more.

        Parameters
        ----------
        at
            Number of the first row. It is there already, or is the next to come.
        rows
            The rows, [n, ...].
        """
        self._file.seek(at * self._row_bytes)
        self._write(rows)

    def _write(self, rows: NDArray[Any]) -> None:
        if not rows.size:  # memory of no rows cannot be seen as bytes
            return
        try:
            self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data.cast("B"))
            self._file.flush()
        except OSError as error:  # the disk is full: a temporary file has no name to tell where
            raise OSError(error.errno, error.strerror, gettempdir()) from error

    def array(self) -> NDArray[Any]:
        """Return all rows; none can be added any more."""
        content = self._content()
        return np.ndarray((len(content) // self._row_bytes, *self._shape), self._dtype, content)

    def _content(self) -> memoryview | mmap.mmap | bytes:
        if isinstance(self._file, BytesIO):
            return self._file.getbuffer()
        is_empty = not self._file.seek(0, 2)
        return b"" if is_empty else mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
