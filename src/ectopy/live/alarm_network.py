"""Rhythm of a running signal by its waves, once a second: a small network per lead, and a filter over time.

Fibrillation has no beat to measure, so no beat is used here. The network reads the waves of the last 4 s and
of the last 2 s of a lead. It also reads how the former differ from those that are usual for the patient. The
filter is that of a hidden Markov model: a rhythm lasts, so it takes some seconds to enter another one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask, Signal
from ectopy.live.front_end import LIVE_FS
from ectopy.model.classifier import ModelError
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm
from ectopy.signal.waves import WAVES, measure_waves

Floats = NDArray[np.float32]

ALARMS_FILE = "alarms.json"
"""File of a streaming model with the weights of this network."""
WINDOW_S, SHORT_S = 4, 2
"""Lengths of the two windows of signal in seconds."""
N_FEATURES = 3 * len(WAVES)
"""Numbers of a lead: its waves in the long and in the short window, and the former less the usual ones."""

_USUAL_S = 60  # time constant of the usual waves
_ARTEFACT = RHYTHMS.index(Rhythm.ARTEFACT)
_LEAST_WEIGHT = 0.05  # of a lead in noise
_FLOOR = 1e-3  # a lower probability is no stronger evidence
ENTRY = (2e-2, 2e-3, 2e-3, 1e-3, 2e-2)
"""Probability of entering each of RHYTHMS in a second."""


def live_waves(signal: Signal) -> tuple[Floats, Floats]:
    """Compute the waves of the long and the short window that end at each whole second.

    Parameters
    ----------
    signal
        [n, n_leads] at LIVE_FS in mV, of whole seconds, WINDOW_S or more.

    Returns
    -------
    [n_seconds - WINDOW_S + 1, n_leads, len(WAVES)] each.
    """
    leads = np.ascontiguousarray(signal.T)
    long = measure_waves(leads, LIVE_FS, window_s=WINDOW_S, hop_s=1)
    short = measure_waves(leads[:, (WINDOW_S - SHORT_S) * LIVE_FS :], LIVE_FS, window_s=SHORT_S, hop_s=1)
    return long, short


def follow_usual(usual: Floats, long: Floats, n_seconds: int) -> Floats:
    """Return the usual waves after another second.

    Parameters
    ----------
    usual, long
        The usual waves before, and the waves of the long window, [n_leads, len(WAVES)].
    n_seconds
        Seconds so far, with this one.

    Returns
    -------
    [n_leads, len(WAVES)].
    """
    return usual + (long - usual) * np.float32(max(1 / n_seconds, 1 / _USUAL_S))


def alarm_features(long: Floats, short: Floats, usual: Floats) -> Floats:
    """Return what the network reads.

    Parameters
    ----------
    long, short, usual
        The waves of both windows, and the usual ones, [..., len(WAVES)].

    Returns
    -------
    [..., N_FEATURES].
    """
    return np.concatenate((long, short, long - usual), axis=-1)


@dataclass(frozen=True, eq=False)
class AlarmModel:
    """Weights of the network, in float32: one hidden layer.

    Parameters
    ----------
    mean, scale
        What standardises the features, [N_FEATURES] each.
    hidden, hidden_bias
        [N_FEATURES, units] and [units].
    out, out_bias
        [units, len(RHYTHMS)] and [len(RHYTHMS)].
    """

    mean: Floats
    scale: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats
    out_bias: Floats

    def of_leads(self, features: Floats) -> Floats:
        """Return the probability of each rhythm by each lead, [..., n_leads, len(RHYTHMS)]."""
        standard = np.clip((features - self.mean) / self.scale, -5, 5)
        hidden = np.maximum(standard @ self.hidden + self.hidden_bias, 0)
        logits = hidden @ self.out + self.out_bias
        power = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(power / power.sum(axis=-1, keepdims=True))


def over_leads(of_leads: Floats, readable: Mask) -> Floats:
    """Return the probability of each rhythm by all leads, [..., len(RHYTHMS)].

    A lead counts the less, the more it is in noise. Without a readable lead all is artefact.

    Parameters
    ----------
    of_leads
        [..., n_leads, len(RHYTHMS)].
    readable
        [..., n_leads], which leads can be read.

    Returns
    -------
    [..., len(RHYTHMS)].
    """
    weight = (1 - of_leads[..., _ARTEFACT] + np.float32(_LEAST_WEIGHT)) * readable
    mean = (of_leads * weight[..., None]).sum(axis=-2) / np.maximum(weight.sum(axis=-1), 1e-6)[..., None]
    nothing = np.eye(len(RHYTHMS), dtype=np.float32)[_ARTEFACT]
    return np.asarray(np.where(readable.any(axis=-1, keepdims=True), mean, nothing))


def next_belief(belief: Floats, probability: Floats, entry: Sequence[float] = ENTRY) -> Floats:
    """Return the probability of each rhythm after another second, by all seconds so far.

    Parameters
    ----------
    belief
        The same after the second before, [len(RHYTHMS)].
    probability
        By the waves of this second alone, [len(RHYTHMS)].
    entry
        Probability of entering each rhythm in a second.

    Returns
    -------
    [len(RHYTHMS)].
    """
    chance = np.asarray(entry, dtype=np.float32)
    stays = 1 - chance.sum() + chance
    before = belief * stays + (1 - belief) * chance
    after = before * np.maximum(probability, np.float32(_FLOOR))
    return np.asarray(after / after.sum(), dtype=np.float32)


def save_alarm_model(model: AlarmModel, folder: Path) -> None:
    """Write the weights of the network.

    Parameters
    ----------
    model
        The network.
    folder
        The folder of a streaming model.
    """
    digits = {name: np.round(value, 5).astype(float).tolist() for name, value in vars(model).items()}
    (folder / ALARMS_FILE).write_text(f"{json.dumps(digits)}\n", encoding="utf-8")


def load_alarm_model(folder: Path) -> AlarmModel | None:
    """Read the weights of a streaming model; None if it has none.

    Raises
    ------
    ModelError
        If the file is damaged.
    """
    path = folder / ALARMS_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model = AlarmModel(**{name: np.array(value, dtype=np.float32) for name, value in content.items()})
        fits = model.of_leads(np.zeros((1, N_FEATURES), dtype=np.float32)).shape == (1, len(RHYTHMS))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path}: not the weights of the alarms ({error}). Train the model again."
        ) from error
    if not fits:
        raise ModelError(f"{path}: weights of another version of ectopy. Train the model again.")
    return model
