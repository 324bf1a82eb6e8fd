"""Score recordings, or what has arrived in the inbox.

The flow is in ``ectopy.flows.score``.
"""

from ectopy.flows.score import score, score_inbox

__all__ = ["score", "score_inbox"]
