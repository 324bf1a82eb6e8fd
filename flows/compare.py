"""Compare network architectures.

The flow is in ``ectopy.flows.compare``.
"""

from ectopy.flows.compare import compare

__all__ = ["compare"]

if __name__ == "__main__":
    compare()
