"""Score, review and clean with a Python that lacks what Windows lacks: a process without a part of POSIX.

The rest of Windows, such as its paths, is not imitated.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.small import write_record

# Python runs this module at its start, in worker processes too.
SITE = """
import os, signal, sys

sys.modules |= dict.fromkeys(["fcntl", "grp", "pwd", "resource", "termios"])
for name in dir(os):
    if name.startswith(("getuid", "geteuid", "getgid", "sched_", "posix_f", "pread", "pwrite", "O_NOFOLLOW")):
        delattr(os, name)
for name in ("chown", "fchmod", "fchown", "getloadavg", "killpg", "mkfifo", "nice", "setsid", "statvfs", "sysconf"):
    delattr(os, name)
for name in ("SIGKILL", "SIGALRM", "SIGHUP", "setitimer", "alarm", "ITIMER_REAL"):
    delattr(signal, name)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="this system lacks these parts itself")


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, without a part of POSIX."""
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    environment = {"PYTHONPATH": str(tmp_path / "site"), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "code", ["import fcntl", "import resource", "import os; os.getuid()", "import signal; signal.SIGKILL"]
)
def test_the_parts_are_missing(tmp_path: Path, code: str) -> None:
    done = run(tmp_path, "-c", code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(("ModuleNotFoundError", "AttributeError"))


def test_two_recordings_are_scored_in_two_processes(tmp_path: Path) -> None:
    records = [str(write_record(tmp_path / name)) for name in ("a", "b")]
    done = run(tmp_path, "-m", "ectopy", "score", *records, "--out", "out", "--workers", "2")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert {path.parent.name for path in tmp_path.glob("out/*/report.html")} == {"r", "r-2"}


def test_python_analyses_a_record(tmp_path: Path) -> None:
    record = write_record(tmp_path / "r")
    done = run(tmp_path, "-c", f"import ectopy; print(len(ectopy.analyse({str(record)!r}).beats.sample))")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_a_task_that_does_not_end_is_terminated(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", "from ectopy.parallel import worker_pool; print(worker_pool._KILL.name)")
    assert done.stdout == "SIGTERM\n", done.stderr


def test_edits_are_appended_and_read_again(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from ectopy.review.edits import Comment\n"
        "from ectopy.review.log import EditLog\n"
        "log = EditLog(Path('r.review/edits.jsonl'))\n"
        "for text in ('noise', 'a pause'): log.append(Comment(None, text), by='ab', base='0')\n"
        "print([entry.id for entry in EditLog(log.path).entries])\n"
    )
    done = run(tmp_path, "-c", code)
    assert done.stdout == "[1, 2]\n", done.stderr


def test_clean_removes_what_a_killed_command_left(tmp_path: Path) -> None:
    left = tmp_path / "ectopy-model-ab12cd_f"
    left.mkdir()
    os.utime(left, (time.time() - 90_000,) * 2)
    done = run(tmp_path, "-m", "ectopy", "clean", "--yes")
    assert (done.returncode, left.exists()) == (0, False), done.stderr
