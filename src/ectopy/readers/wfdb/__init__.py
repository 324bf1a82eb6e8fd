"""WFDB records: header, signal files, segments."""

from ectopy.readers.wfdb.reader import SUFFIXES, files, open_recording, recognise

__all__ = ["SUFFIXES", "files", "open_recording", "recognise"]
