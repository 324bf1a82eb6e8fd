"""Reader of EDF, EDF+ and BDF files."""

from ectopy.readers.edf.reader import SUFFIXES, companion_files, matches, open_recording

__all__ = ["SUFFIXES", "companion_files", "matches", "open_recording"]
