"""An array that grows by parts."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class GrowingArray:
    """An array to which parts are added, as a whole in one place.

    A list of parts takes their memory twice when they are concatenated. Until then, each keeps a place
    between other arrays, which leaves holes when those are freed.
    """

    def __init__(self, dtype: DTypeLike, *shape: int) -> None:
        """Begin without a row; those to come are of a type and a shape."""
        self._dtype, self._shape = np.dtype(dtype), shape
        self._row_bytes = self._dtype.itemsize * int(np.prod(shape))
        self._file = BytesIO()

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
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data.cast("B") if rows.size else b"")

    def array(self) -> NDArray[Any]:
        """Return all rows; none can be added any more."""
        return np.frombuffer(self._file.getbuffer(), self._dtype).reshape(-1, *self._shape)
