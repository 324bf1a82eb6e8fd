"""Run the whole pipeline on simulated patients.

The flow is in ``ectopy.flows.demo``.
"""

from ectopy.flows.demo import demo

__all__ = ["demo"]

if __name__ == "__main__":
    demo()
