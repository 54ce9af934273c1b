"""Downloads from the hub beside the app: one for a session, a few for the server, each in a thread of its own.

A download ends when its session does: the thread asks whether the session still has its browser.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import streamlit as st

from attnviz.errors import ModelError
from attnviz.inputs.isolated_tokenizer import Waiting, while_wanted
from attnviz.models import hf_download, strangers
from attnviz.web import cache
from attnviz.web.jobs import text
from attnviz.web.jobs.sessions import presence
from attnviz.web.limits import LIMITS
from attnviz.web.page_end import end_page

MAX_DOWNLOADS = LIMITS.max_downloads  # at a time, all sessions together
ABSENT = 5.0  # seconds without a browser, after which a download ends
SOON = 0.5  # seconds that a page waits before it draws a bar: what is on the disk already needs none

_running: list[Download] = []  # guarded by the lock
_lock = threading.Lock()
_log = logging.getLogger(__name__)


class Download:
    """One repository on its way into the local cache, and into memory. The thread writes, the page reads."""

    def __init__(self, repo: str, present: Callable[[], bool], part: str = "") -> None:
        """`present` says whether the session still has its browser; it is asked from the thread."""
        self.repo, self.present, self._part = repo, present, part
        self.status = "running"  # "done", "cancelled", "failed"
        self.error = ""  # why it failed; a sentence
        self.done = self.total = 0  # bytes; total is 0 until the hub has answered
        self.has_come = False  # all of it: it is loaded
        self.reported = False  # whether a page has shown that it brought nothing: it may be tried again
        self._cancelled = False
        self._seen = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="attnviz download", daemon=True)

    @property
    def name(self) -> str:
        """What `cache.model` takes, once it is done."""
        return f"hf:{self.repo}#{self._part}" if self._part else f"hf:{self.repo}"

    @property
    def active(self) -> bool:
        """Whether it is under way."""
        return self.status == "running"

    def start(self) -> None:
        """Errors: ModelError if the server downloads enough already."""
        with _lock:
            if len(_running) >= MAX_DOWNLOADS:
                raise ModelError(
                    f"This server downloads {len(_running)} models now, as many as it takes. Try again soon."
                )
            _running.append(self)
        self._thread.start()

    def cancel(self) -> None:
        """Ends it: for the page at once, in the thread with the next piece that comes."""
        self._cancelled, self.status = True, "cancelled"

    def wait(self, seconds: float | None = None) -> None:
        """Until the thread is at its end."""
        self._thread.join(seconds)

    def _work(self) -> None:
        ended = "failed"
        try:
            with strangers.asking(strangers.Terms(with_token=cache.HUB_TOKEN)):
                hf_download.fetch(self.repo, cache.MAX_MODEL_BYTES, self._hear)
            self.has_come = True
            with while_wanted(Waiting(self._is_wanted)):
                cache.model(self.name)
            ended = "done"
        except hf_download.Cancelled:
            ended = "cancelled"
        except ModelError as error:
            self.error = str(error)
        except Exception as error:  # a page that waits for a thread that died would wait for ever
            _log.exception("a download ended unexpectedly")
            self.error = f"The download ended unexpectedly ({type(error).__name__}); the server's log says why."
        if ended == "failed" and not self._is_wanted():
            ended = "cancelled"
        with _lock:
            _running.remove(self)
        if not self._cancelled:
            self.status = ended

    def _is_wanted(self) -> bool:
        now = time.monotonic()
        if self.present():
            self._seen = now
        return not self._cancelled and now - self._seen <= ABSENT

    def _hear(self, done: int, total: int) -> None:
        """Hears how far it is. Errors: Cancelled if nobody wants it any more."""
        self.done, self.total = done, total
        if not self._is_wanted():
            raise hf_download.Cancelled(f"The download of {self.repo} was cancelled.")


def cancel_all() -> None:
    """Ends every download that is under way; what has come stays in the cache."""
    with _lock:
        for download in _running:
            download.cancel()


def mine() -> Download | None:
    """The session's download, under way or ended; None if there was none."""
    download: Download | None = st.session_state.get("download")
    return download


def begin(repo: str, part: str = "") -> Download:
    """Starts a download for this session, in the place of one that has ended, or of a part. Errors: ModelError."""
    hf_download.check_name(repo)
    before = mine()
    if before is not None and before.active:
        raise ModelError(f"This session downloads {before.repo} already. Cancel it first.")
    st.session_state["download"] = started = Download(repo, presence(), part)
    try:
        started.start()
    except ModelError:
        st.session_state["download"] = before
        raise
    return started


def arrive(name: str, back: Callable[[], None], help: str) -> None:
    """Ends the page with how far the model is, if it is one of the hub's and not here yet; arguments as `bar`.

    Errors: as `coming`.
    """
    if (download := coming(name)) is not None:
        bar(download, back, help)
        end_page()


def coming(name: str) -> Download | None:
    """The download of the model hf:org/name, begun if need be; None if it is here, and for every other model.

    Errors: ModelError, in a sentence, if it cannot come; the page's next run asks again.
    """
    if not name.startswith("hf:") or name in cache.loaded():
        return None
    repo, _, part = name.removeprefix("hf:").partition("#")  # a part of a model comes with the whole
    download = mine()
    if download is None or download.repo != repo or download.reported or download.status == "done":
        download = begin(repo, part)
        download.wait(SOON)
    if download.active:
        return download
    if download.status != "done":
        download.reported = True
        raise ModelError(text.download_ended(download.status, repo, download.error))
    return None


def bar(download: Download, back: Callable[[], None], help: str) -> None:
    """How far it is, and a button that cancels it: then `back` chooses another model, as `help` says."""
    st.text(f"{download.repo} is on its way from the Hugging Face hub.")
    _on_its_way(download, back, help)


@st.fragment(run_every=0.5)
def _on_its_way(download: Download, back: Callable[[], None], help: str) -> None:
    if not download.active:
        st.rerun()
    progress(download)
    st.button("Cancel", on_click=_cancel, args=(download, back), help=help)


def progress(download: Download) -> None:
    """The bar alone."""
    share = min(1.0, download.done / max(1, download.total))
    said = text.LOADING if download.has_come else text.download_progress(download.done, download.total)
    st.progress(1.0 if download.has_come else share, said)


def _cancel(download: Download, back: Callable[[], None]) -> None:
    download.cancel()
    download.reported = True
    back()
