"""Files of patients are for their owner and the group, not for every account of the machine."""

import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)


def deny_others() -> None:
    """Take from others every right on what this process and its children will write, not from the group."""
    os.umask(os.umask(0o077) | 0o007)


def take_from_others(*folders: Path) -> None:
    """Take from others every right on folders that exist already, and so on all that lies in them.

    Parameters
    ----------
    folders
        The folders. The modes of their files do not matter any more, and are not changed.
    """
    for folder in folders:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & 0o007:
            continue
        if mode & stat.S_ISVTX:  # such as /tmp: others have files of their own there
            logger.warning("%s: every account can use it. Choose a folder of your own.", folder)
            continue
        try:
            folder.chmod(mode & ~0o007)
        except PermissionError:
            logger.warning("%s: every account can read it. Have its owner run `chmod o-rwx`.", folder)
        else:
            logger.info("%s: other accounts of this machine may no longer read this folder", folder)
