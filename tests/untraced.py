"""Code that coverage does not follow: that of libraries and of the tests themselves.

On Python 3.11 all Python code takes two to four times longer while coverage follows it, also code that it does not
measure. A few lines of C keep it to the code of ectopy. Python 3.14 needs no such help.
"""

import ctypes
import os
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import ectopy

SOURCE = Path(__file__).with_suffix(".c")


def follow_only_ectopy() -> None:
    """Have coverage, where it measures, follow no other code; without a C compiler, tests take longer."""
    if sys.version_info[:2] != (3, 11) or sys.gettrace() is None:
        return
    folder = Path(ectopy.__file__).parent
    with TemporaryDirectory() as scratch, suppress(OSError):
        library = Path(scratch) / "untraced.so"
        headers = sysconfig.get_path("include")
        compiled = ["cc", "-O2", "-shared", "-fPIC", f"-I{headers}", str(SOURCE), "-o", str(library)]
        subprocess.run(compiled, capture_output=True, check=False)
        ctypes.PyDLL(str(library)).follow_only(ctypes.py_object(f"{folder}{os.sep}"))
