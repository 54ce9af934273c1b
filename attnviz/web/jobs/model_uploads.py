"""Models from uploaded archives, read beside the app: one at a time, in line.

What takes long is a stranger's tokenizer, up to seconds in a process of its own, which ends at once where nobody waits
for the model any more. Meanwhile other models are loaded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from streamlit.runtime.uploaded_file_manager import UploadedFile

from attnviz.errors import ModelError
from attnviz.models.catalogue import load_archive
from attnviz.models.model import Model
from attnviz.web import cache, line
from attnviz.web.jobs import text
from attnviz.web.jobs.in_line import InLine, Line
from attnviz.web.jobs.sessions import presence

SOON = 0.5  # seconds that a page waits before it draws a bar: most archives need none
SOURCE = "uploaded in this session"
LINE = Line()
_log = logging.getLogger(__name__)


class Upload(InLine):
    """One archive on its way to become a model of the session that sent it."""

    def __init__(self, file: UploadedFile, present: Callable[[], bool]) -> None:
        super().__init__(LINE, present)
        self.file = file  # Streamlit holds its bytes, and counts them, until the page forgets it
        self.model: Model | None = None
        self.began = 0.0  # by the monotonic clock; 0 in line
        self._own = cache.own_models()  # of this session, which the thread does not know

    @property
    def seconds(self) -> float:
        """Since its turn came."""
        return time.monotonic() - self.began if self.began else 0.0

    def _do(self) -> None:
        self.began = time.monotonic()
        title = "".join(c for c in self.file.name.removesuffix(".zip") if c.isprintable())[:60] or "a model"
        load = partial(_loaded, self.file.getvalue(), title)
        self.model = cache.bring(load, self._own, self.is_wanted)

    def _why(self, error: Exception) -> str:
        if isinstance(error, ModelError):
            return str(error)
        _log.error("an upload ended unexpectedly", exc_info=error)
        return text.UPLOAD_BROKE


def _loaded(data: bytes, title: str, reserve: Callable[[int], None]) -> Model:
    return load_archive(data, title, max_bytes=cache.MAX_MODEL_BYTES, reserve=reserve)


def begin(file: UploadedFile) -> Upload:
    """Reads an archive for this session, as soon as those before it are read; waits a moment for it."""
    upload = Upload(file, presence())
    upload.begin()
    with line.aside():
        upload.wait(SOON)
    return upload


def cancel_all() -> None:
    """Ends all that are under way."""
    for upload in list(LINE.jobs):
        upload.cancel()
