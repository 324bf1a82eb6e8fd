"""Entry point of ``python -m ectopy``, which does the same as ``ectopy``."""

from ectopy.cli import main

main()
