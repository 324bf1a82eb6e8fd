"""Find, classify and report irregular heartbeats in ECG recordings, and say honestly how well.

``ectopy.analyse("100")`` reads a recording and gives its beats and events. Nothing heavy is imported before
it is used, and Keras, MLflow and Prefect never are.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ectopy.api import analyse
    from ectopy.ecg import Analysis, BeatClass, Beats, Event, Recording, recording_of
    from ectopy.readers import open_recording

__all__ = [
    "Analysis",
    "BeatClass",
    "Beats",
    "Event",
    "Recording",
    "analyse",
    "open_recording",
    "recording_of",
]

_HOMES = {"analyse": "ectopy.api", "open_recording": "ectopy.readers"}
_MODULES = {"ec57": "ectopy.ec57", "simulate": "ectopy.datasets.simulate"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "ectopy.ecg")), name)


def __dir__() -> list[str]:
    return [*__all__, *_MODULES]
