"""Evaluate the challenger and promote it if it passes.

The flow is in ``ectopy.flows.evaluate``.
"""

from ectopy.flows.evaluate import evaluate

__all__ = ["evaluate"]
