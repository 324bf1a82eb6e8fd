"""Name beats as pages show them: by their class, but a paced beat is called paced.

The files follow ANSI/AAMI EC57, in which a paced beat has the class Q, as one that cannot be classified.
Readers of a page expect a name of its own. All pages take the letters from here.
"""

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Labels, is_inside, merge_intervals, once

PACED = "P"
"""Letter of a beat of class Q in paced rhythm."""
BEAT_NAMES = {
    str(BeatClass.NORMAL): "Normal",
    str(BeatClass.SVEB): "Supraventricular ectopic",
    str(BeatClass.VEB): "Ventricular ectopic",
    str(BeatClass.FUSION): "Fusion",
    PACED: "Paced",
    str(BeatClass.UNKNOWN): "Unclassifiable",
}
"""Names of the letters, in the order of tables."""
_AT_END_S = 0.001  # the last beat of an episode is at its end, which counts


@once
def shown_letters(analysis: Analysis) -> Labels:
    """Return the letter of each beat on the page, [n]: its class, but P for a paced beat."""
    label = analysis.beats.label
    paced = analysis.events_of("paced")
    if not paced:
        return label
    spans_s = merge_intervals(np.array([(event.onset_s, event.offset_s + _AT_END_S) for event in paced]))
    in_paced = is_inside(analysis.beats.time_s, spans_s)
    return np.where((label == BeatClass.UNKNOWN) & in_paced, PACED, label)


def class_of(letter: str) -> str:
    """Return the class of a letter on the page: Q for P, else the letter."""
    return str(BeatClass.UNKNOWN) if letter == PACED else letter
