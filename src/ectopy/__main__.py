"""Entry point of ``ectopy`` and of ``python -m ectopy``.

Worker processes import the entry point too. So the command line, which takes 0.15 s, is imported later.
"""

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    from ectopy import cli

    cli.main()


if __name__ == "__main__":
    main()
