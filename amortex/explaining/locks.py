"""Locks of folders: one process at a time writes into a folder of results."""

import logging
import os
import weakref
from collections.abc import Callable
from pathlib import Path

from amortex.core.errors import InputError

logger = logging.getLogger(__name__)
RELEASES: dict[str, Callable[[], object]] = {}  # folder that this process has locked -> what releases it


def lock_folder(folder: Path, owner: object) -> None:
    """Lock a folder for as long as `owner` lives. The lock ends with the process, however it ends.

    Raises:
        InputError: another process has locked it.
    """
    if os.name != "posix":
        return
    import fcntl

    path = os.path.realpath(folder)
    if path in RELEASES:  # the owner of an interrupted run may live on
        RELEASES.pop(path)()
    descriptor = os.open(path, os.O_RDONLY)
    RELEASES[path] = weakref.finalize(owner, os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"another run is writing to {folder}: wait for it, or choose another folder (--out)"
        ) from error
    except OSError:  # some network file systems cannot lock folders
        logger.debug("%s cannot be locked", folder)
