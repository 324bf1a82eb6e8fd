"""Philips Sierra XML files."""

from ectopy.readers.sierra.reader import SUFFIXES, files, open_recording, recognise

__all__ = ["SUFFIXES", "files", "open_recording", "recognise"]
