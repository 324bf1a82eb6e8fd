"""Download a PhysioNet database to the data directory and verify every file.

The flow is in ``ectopy.flows.ingest``.
"""

from ectopy.flows.ingest import ingest

__all__ = ["ingest"]
