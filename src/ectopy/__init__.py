"""Find, classify and report irregular heartbeats in ECG recordings, and measure honestly how well.

``ectopy.analyse("100")`` reads a recording and returns its beats and events. The names in ``__all__`` are
public and stable. Everything below them is documented, but internal: it may change with any release. Nothing
heavy is imported before it is used, and Keras, MLflow and Prefect never are.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ectopy import ec57
    from ectopy.api import analyse, read
    from ectopy.beats.detection import detect_qrs
    from ectopy.criteria import Criteria, CriteriaError
    from ectopy.datasets import simulate
    from ectopy.ecg import (
        Analysis,
        BeatClass,
        Beats,
        Event,
        Mark,
        NotAnalysableError,
        Recording,
        UnreadableError,
        recording_of,
    )
    from ectopy.live.stream import Stream
    from ectopy.plotting import plot_strip
    from ectopy.readers import open_recording
    from ectopy.rhythm.events import find_events

__all__ = [
    "Analysis",
    "BeatClass",
    "Beats",
    "Criteria",
    "CriteriaError",
    "Event",
    "Mark",
    "NotAnalysableError",
    "Recording",
    "Stream",
    "UnreadableError",
    "analyse",
    "detect_qrs",
    "ec57",
    "find_events",
    "open_recording",
    "plot_strip",
    "read",
    "recording_of",
    "simulate",
]

# Where each name comes from, as module and attribute; the module itself where there is no attribute.
_HOMES = {
    "Criteria": ("ectopy.criteria", "Criteria"),
    "Stream": ("ectopy.live.stream", "Stream"),
    "CriteriaError": ("ectopy.criteria", "CriteriaError"),
    "analyse": ("ectopy.api", "analyse"),
    "detect_qrs": ("ectopy.beats.detection", "detect_qrs"),
    "ec57": ("ectopy.ec57", ""),
    "find_events": ("ectopy.rhythm.events", "find_events"),
    "open_recording": ("ectopy.readers", "open_recording"),
    "plot_strip": ("ectopy.plotting", "plot_strip"),
    "read": ("ectopy.api", "read"),
    "simulate": ("ectopy.datasets.simulate", ""),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES.get(name, ("ectopy.ecg", name))
    home = import_module(module)
    return getattr(home, attribute) if attribute else home


def __dir__() -> list[str]:
    return __all__
