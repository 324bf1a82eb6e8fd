"""Reader of Philips Sierra XML files."""

from ectopy.readers.sierra.reader import SUFFIXES, companion_files, matches, open_recording

__all__ = ["SUFFIXES", "companion_files", "matches", "open_recording"]
