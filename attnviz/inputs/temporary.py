"""Temporary folders, which go with what they are for; a killed process's go when the next one starts."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from attnviz.errors import ModelError

PREFIX = "attnviz-"
_NAME = re.compile(rf"{PREFIX}(\d+)-\w+")  # with the number of the process that made it


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process's. Errors: ModelError if the disk has no room for one, or lets nobody write."""
    try:
        return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ModelError(f"No file can be written here: {error.strerror}.") from None  # the place is nobody's business


def remove_left_folders() -> list[Path]:
    """Removes the folders of processes that are no more, as after a power cut; returns them. Others' users stay."""
    removed = []
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        name = _NAME.fullmatch(path.name)
        if name is None or path.is_symlink() or runs(int(name[1])):
            continue
        with contextlib.suppress(OSError):  # another user's
            shutil.rmtree(path)
            removed.append(path)
    return removed


def runs(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
