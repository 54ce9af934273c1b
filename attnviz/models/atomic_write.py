"""A file written so that nobody ever sees a part of it: beside the old one, then in its place in one step."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from attnviz.errors import ModelError


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that nobody ever sees a part of it. Errors: ModelError, the old file intact."""
    handle, name = -1, ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
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
