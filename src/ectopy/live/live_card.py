"""The card of a streaming model, as Markdown."""

from collections.abc import Mapping, Sequence

from ectopy.live.beat_features import FEATURES
from ectopy.live.stream import FINAL_S
from ectopy.model.training_sources import SourceRecords

_SETTINGS = (
    *("seed", "n_folds", "window_beats", "dense_units", "gru_units", "dropout", "epochs", "learning_rate"),
    *("windows_per_epoch", "focal_gamma", "class_weights", "augmented_fraction", "coverage"),
)


def build_live_card(  # noqa: PLR0913, PLR0917 - one parameter for each part of the card
    name: str,
    sources: Sequence[SourceRecords],
    config: Mapping[str, object],
    look_ahead: int,
    by_look_ahead: str,
    alarm_records: Mapping[str, Sequence[str]],
) -> str:
    """Return the card of a streaming model.

    Parameters
    ----------
    name
        Name of the model in outputs.
    sources
        The training databases with their records.
    config
        Settings of the training by name.
    look_ahead
        Beats after a beat that its final label considers.
    by_look_ahead
        The table of metrics after 0, 1, 2 ... further beats.
    alarm_records
        The training records of the network of the alarms, by database; none if there is no such network.

    Returns
    -------
    The card.
    """
    data = "\n".join(
        f"* {source.database.name} {source.database.version}: {', '.join(source.training)}"
        for source in sources
    )
    settings = "\n".join(f"| {key} | {config[key]} |" for key in _SETTINGS)
    return f"""# Model card: {name}

Classifies each heartbeat of a running ECG as N (normal), S (supraventricular ectopic) or V (ventricular
ectopic). It is one forward GRU over the beats. It reads {len(FEATURES)} numbers of a beat, from this beat
and those before it. The first label follows the beat at once. The final label considers up to {look_ahead}
further beats, and comes after {FINAL_S:g} s at most.

**Use.** Research, and a first analysis that a reader confirms. Not a medical device, not the sole basis of a
diagnosis, never for life support. Not for paced rhythm, nor for children: the training data have
neither.

**Data**, split by patient; F and Q are left out:

{data}

## Out of fold

Cross-validation grouped by patient, beats detected by the stream itself. EC57 with a learning period of
5 min and a match window of 150 ms; de Chazal's map; gross, in percent. The settings were chosen on these
patients, so the metrics are optimistic.

{by_look_ahead}

## Alarms

{_of_alarms(alarm_records)}

## Recipe

| choice | value |
|---|---|
{settings}
"""


def _of_alarms(records: Mapping[str, Sequence[str]]) -> str:
    """Return what the card says of the network of the alarms."""
    if not records:
        return "No network of the alarms: no database of fibrillation was present. So `vf` is never said."
    data = "\n".join(f"* {database}: {', '.join(names)}" for database, names in records.items())
    return f"""A second network, `alarms.json`, reads the waves of each lead once a second. Its alarms miss
episodes and are false at times; docs/live-alarms.md has the figures. Never for life support. It has
learnt from these records:

{data}"""
