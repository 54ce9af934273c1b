"""What a reader sees before there is a picture: its title and its frame, before torch is imported.

A process's first run draws them, and begins anew once what pages need is there. The server makes it beside itself, and
writes the same into Streamlit's empty page (see `empty_page`).
"""

from __future__ import annotations

import logging
import sys
import threading
from html import escape

import streamlit as st
from streamlit.navigation.page import StreamlitPage
from streamlit.runtime.scriptrunner_utils import script_run_context

from attnviz.web import allocator, page_style
from attnviz.web.limits import LIMITS

ALONE = 1.0  # seconds that a server has to itself to answer its first reader
POLITE = 0.0005  # seconds after which it gets Python's lock: to send one file it asks for it many times
THREAD = "attnviz first paint"
EXPLORE = "Where does each word look?"  # over the page that most begin with
STYLE = """<style>
.first-paint { font: 400 1.1875rem/1.5 "Source Serif", Charter, Georgia, serif }
.first-paint b { display: block; font-size: 2rem; font-weight: 600; line-height: 1.2 }
.first-paint i { display: block; height: 26rem; margin-top: 4rem; outline: 1px solid currentColor; opacity: 0.15 }
</style>"""

_log = logging.getLogger(__name__)
_asked = threading.Event()
_loaded = threading.Event()
_loading = threading.Lock()


def html(title: str, form: str = "") -> str:
    """The title and the frame of what is coming."""
    return f'{STYLE}<div class="first-paint {form}"><b>{escape(title)}</b>The page is on its way …<i></i></div>'


def until_loaded(page: StreamlitPage) -> None:
    """In a run before what pages need is there: draws what is coming, waits for it, and begins the run anew."""
    if not _loaded.is_set():
        _draw(page)
        load()
        st.rerun()


def _draw(page: StreamlitPage) -> None:
    """What is coming, of the same kinds of elements: meanwhile the browser loads what draws these."""
    st.html(page_style.style_sheet())
    st.html(html(page.title if page.url_path else EXPLORE))
    st.components.v2.component("attnviz_first_paint", html="<div></div>")(key="first-paint")
    if not page.url_path:
        with st.sidebar:
            st.subheader("attnviz", anchor=False)
            st.text_area("Text", height=150, disabled=True, key="first-paint-text")
            for label in ("Examples", "Model"):
                st.selectbox(label, (), disabled=True, key=f"first-paint-{label}", placeholder="")


def load() -> None:
    """Imports what pages need, torch among it; one thread does, and the others wait for it."""
    with _loading:
        from attnviz.web import server  # noqa: F401  with all that pages share
        from attnviz.web.explore import parts  # noqa: F401  and the first page

        _loaded.set()


def begin() -> None:
    """Makes what the first reader waits for beside the server, while the browser still loads Streamlit itself."""
    if LIMITS.memory_bytes < allocator.SMALL_HOST:
        allocator.return_large_blocks()  # before there are threads
    # Streamlit warns of a thread that asks for the run of a page and has none: this one needs none
    logging.getLogger(script_run_context.__name__).addFilter(lambda record: record.threadName != THREAD)
    threading.Thread(target=_make_ready, name=THREAD, daemon=True).start()


def sent() -> None:
    """The empty page has gone to a reader: the server may be busy now."""
    _asked.set()


def _make_ready() -> None:
    _asked.wait(ALONE)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(POLITE)
    try:
        load()
        from attnviz.web import cache, metrics, shell

        metrics.serve()  # before anybody reads: whoever runs the server looks whether it is there
        cache.run("minilm", shell.first_text(), None)
    except Exception:  # the page that needs it says what is wrong
        _log.exception("nothing was made ready")
    finally:
        sys.setswitchinterval(usual)
