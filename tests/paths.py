"""Read paths of SVG back."""

import re


def points(path: str) -> list[list[tuple[int, int]]]:
    """Return the pieces of the path of a trace, each a list of (x, y) in its units."""
    pieces = []
    for piece in path.split("M")[1:]:
        start, _, steps = piece.partition("l")
        x, y = map(int, re.findall(r"-?\d+", start.partition("h")[0]))
        piece_points = [(x, y)]
        numbers = list(map(int, re.findall(r"-?\d+", steps)))
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            piece_points.append((x, y))
        pieces.append(piece_points)
    return pieces
