"""Rows of numbers that lie in a file without a name where a recording has too many of them for memory.

They are indexed as an array is, so what reads them need not know where they are.
"""

import tempfile
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Store:
    """A file of rows of one type and shape, which grows by parts and goes when nobody has rows of it left."""

    def __init__(self, dtype: DTypeLike, each: tuple[int, ...]) -> None:
        self.dtype, self.each = np.dtype(dtype), each
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as its rows
        self._n_rows = 0
        weakref.finalize(self, self._file.close)

    def add(self, part: NDArray[Any]) -> Any:
        """Write a part, [n, *each]; give its :class:`Rows`."""
        part.astype(self.dtype, copy=False).tofile(self._file)
        first, self._n_rows = self._n_rows, self._n_rows + len(part)
        return Rows(self, np.arange(first, self._n_rows))

    def read(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Read some rows; the file is mapped for each reading, so that no page stays in memory after it."""
        if not len(rows):
            return np.empty((0, *self.each), dtype=self.dtype)
        whole: Any = np.memmap(self._file, self.dtype, mode="r", shape=(self._n_rows, *self.each))
        return np.array(whole[rows])


class Rows:
    """An array [n, ...] in a store: choosing rows reads nothing, any other index reads what it asks for."""

    def __init__(self, store: Store, rows: NDArray[np.intp]) -> None:
        self.store, self.rows = store, rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that the rows make up."""
        return (len(self), *self.store.each)

    def __getitem__(self, index: Any) -> Any:
        """Choose rows; with an index of what is in them, too, give them as an array."""
        if not isinstance(index, tuple):
            return Rows(self.store, self.rows[index])
        rows, *within = index
        return self.store.read(self.rows[rows])[(slice(None), *within)]

    def astype(self, dtype: DTypeLike) -> NDArray[Any]:
        """Read all rows as numbers of another type."""
        return self.store.read(self.rows).astype(dtype)


def concatenate(parts: Sequence[Any]) -> Any:
    """Put parts one after the other: arrays in memory, or rows of one store."""
    if not isinstance(parts[0], Rows):
        return np.concatenate(parts)
    return Rows(parts[0].store, np.concatenate([part.rows for part in parts]))
