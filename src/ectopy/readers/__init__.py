"""Recordings from files, one module a format."""
