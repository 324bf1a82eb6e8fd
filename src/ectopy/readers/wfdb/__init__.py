"""Reader of WFDB records: headers, signal files and segments."""

from ectopy.readers.wfdb.reader import SUFFIXES, companion_files, frames_per_s, matches, open_recording

__all__ = ["SUFFIXES", "companion_files", "frames_per_s", "matches", "open_recording"]
