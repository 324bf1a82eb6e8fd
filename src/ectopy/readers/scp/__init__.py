"""SCP-ECG files."""

from ectopy.readers.scp.reader import SUFFIXES, files, open_recording, recognise

__all__ = ["SUFFIXES", "files", "open_recording", "recognise"]
