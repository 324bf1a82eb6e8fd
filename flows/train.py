"""Train a challenger and register it.

The flow is in ``ectopy.flows.train``.
"""

from ectopy.flows.train import train

__all__ = ["train"]
