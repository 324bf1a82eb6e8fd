"""P waves in made standstill: how often they are found where they are, and where there is noise alone.

``uv run python benchmarks/p_waves.py`` prints a Markdown table. It needs no data.
"""

import numpy as np

from ectopy.evaluation.rhythm_examples import draw_p_waves
from ectopy.signal.noise import band_noise
from ectopy.signal.p_waves import has_p_waves

FS, DRAWS = 250.0, 1000
LENGTHS_S, NOISE_MV = (4, 10, 20), (0.003, 0.01, 0.02, 0.03, 0.05)


def shares(length_s: int, noise_mv: float) -> tuple[float, float]:
    """Return in how many percent of the draws P waves are found: of those with some, and without."""
    rng, n = np.random.default_rng(0), round(length_s * FS)
    found = np.zeros((2, DRAWS), dtype=bool)
    for draw in range(DRAWS):
        for row in (0, 1):
            signal = noise_mv * band_noise(n, 2, FS, (0.5, 40.0), rng)
            signal = signal + draw_p_waves(n, 2, FS, rng) if row == 0 else signal
            found[row, draw] = has_p_waves(signal.astype(np.float32), FS)
    with_some, without = (100 * found.mean(axis=1)).tolist()
    return with_some, without


def main() -> None:
    """Print the table: found with P waves / found in noise alone."""
    print("| noise (rms) | " + " | ".join(f"{length_s} s" for length_s in LENGTHS_S) + " |")
    print("|---|" + "---|" * len(LENGTHS_S))
    for noise_mv in NOISE_MV:
        cells = ("{:.1f} / {:.1f} %".format(*shares(length_s, noise_mv)) for length_s in LENGTHS_S)
        print(f"| {1000 * noise_mv:g} \N{GREEK SMALL LETTER MU}V | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
