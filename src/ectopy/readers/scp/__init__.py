"""Reader of SCP-ECG files."""

from ectopy.readers.scp.reader import SUFFIXES, companion_files, matches, open_recording

__all__ = ["SUFFIXES", "companion_files", "matches", "open_recording"]
