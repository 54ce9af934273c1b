"""A file written so that nobody ever sees a part of it: beside the old one, then in its place in one step."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from attnviz.errors import ModelError
from attnviz.inputs.temporary import runs


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that nobody ever sees a part of it. Errors: ModelError, the old file intact."""
    handle, name = -1, ""
    try:
        if path.exists() and (not path.is_file() or path.parts[1:2] == ("dev",)):  # a pipe, /dev/stdout: no place
            path.write_bytes(data)
            return
        path = Path(os.path.realpath(path))  # what a link leads to
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}-", dir=path.parent)
        os.chmod(name, 0o644)  # a temporary file is its owner's alone, a model is to be read
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError as error:
        if name:
            with contextlib.suppress(OSError):
                os.unlink(name)
        raise ModelError(f"{path.name} cannot be written: {error.strerror}. What stood there is untouched.") from None


def _remove_left(path: Path) -> None:
    """Removes what processes that were killed had written of this file."""
    half_written = re.compile(rf"\.{re.escape(path.name)}\.(\d+)-\w+")
    for name in os.listdir(path.parent):
        found = half_written.fullmatch(name)
        if found is not None and not runs(int(found[1])):
            with contextlib.suppress(OSError):  # another user's
                os.unlink(path.parent / name)
