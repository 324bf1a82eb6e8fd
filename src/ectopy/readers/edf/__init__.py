"""EDF, EDF+ and BDF files."""

from ectopy.readers.edf.reader import SUFFIXES, files, open_recording, recognise

__all__ = ["SUFFIXES", "files", "open_recording", "recognise"]
