"""``python -m ectopy.ec57``: the command ``ectopy ec57`` where nothing but numpy is installed."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ectopy.ec57.command import Comparing, OptionsError, run
from ectopy.ec57.files import NothingToCompareError
from ectopy.printable import printable_lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status. An error is one line on stderr."""
    options = vars(_parser().parse_args(arguments))
    options["records"] = [name.strip() for name in options["records"].split(",") if name.strip()] or None
    try:
        print(printable_lines(run(Comparing(**options))))  # noqa: T201 - a command
    except (ValueError, OSError) as error:
        problem = str(error)
        if isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename else ""  # a full disk has no name
            problem = f"{where}{error.strerror[:1].lower()}{error.strerror[1:]}. Check the path and the disk."
        print(printable_lines(f"ectopy: {problem}"), file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, NothingToCompareError | OptionsError) else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ectopy.ec57",
        description="Compare annotations with a reference by the rules of ANSI/AAMI EC57.",
    )
    add = parser.add_argument
    add("--reference", type=Path, required=True, help="directory of the reference annotations")
    add("--test", type=Path, required=True, help="directory of the annotations to be evaluated")
    add("--annotator", required=True, help="suffix of the annotations to be evaluated")
    add("--reference-annotator", default="atr", help="suffix of the reference annotations (default: atr)")
    add("--records", default="", help="only these records, such as 100,101")
    add("--map", dest="beat_map", choices=("ec57", "dechazal"), default="ec57", help="class of e, j, n")
    formats = ("table", "bxb", "rxr", "epicmp")
    add("--format", dest="output_format", choices=formats, default="table", help="lines of a reference tool")
    add("--json", type=Path, help="also write every count there")
    add("--disclosure", action="store_true", help="print the tables to disclose by IEC 60601-2-47")
    add("--results", type=Path, help="also write the metrics there, as CSV")
    add("--detector", default="", help="name of the detector in that file (default: the annotator)")
    add("--second", type=Path, help="directory of a second annotator to compare with the first")
    add("--second-annotator", default="", help="suffix of the second annotator")
    return parser


if __name__ == "__main__":
    sys.exit(main())
