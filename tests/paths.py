"""Read paths of SVG back."""

import re
from itertools import pairwise

import numpy as np


def points(path: str) -> list[list[tuple[int, int]]]:
    """Return the pieces of a path of lines, each a list of (x, y) in its units."""
    pieces: list[list[tuple[int, int]]] = []
    x, y = 0, 0
    for command, text in re.findall(r"([Mml])([^Mml]*)", path):
        numbers = list(map(int, re.findall(r"-?\d+", text)))
        if command == "M":
            x, y = 0, 0
        if command != "l":
            pieces.append([])
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            pieces[-1].append((x, y))
    return pieces


def heights(piece: list[tuple[int, int]]) -> np.ndarray:
    """Return the height of a line at each whole x from its first point to its last, [n]."""
    x, y = np.array(piece).T
    assert all(before < after for before, after in pairwise(x.tolist()))
    return np.asarray(np.interp(np.arange(x[0], x[-1] + 1), x, y))
