"""Former address of :func:`ectopy.detect_qrs`, kept for one release."""

from ectopy.beats.detection import detect_qrs

__all__ = ["detect_qrs"]
