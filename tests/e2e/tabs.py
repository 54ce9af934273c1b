"""Tabs of Chromium that serve one test after the other, and what a page on them complains about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.chromium import ELSEWHERE


class Tabs:
    """Browsers as it were, each with a storage and a window of its own; they keep Streamlit's scripts in their cache.

    A tab that one test has left serves the next: its process has read the scripts already, which is a third of what
    it takes until a page stands. A window has one tab at a time, for Chromium hardly draws those behind another.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.contexts: dict[str, BrowserContext] = {}
        self.free: dict[str, list[Page]] = {}

    def take(self, kind: str, options: dict[str, Any], fresh: bool) -> Page:
        """A tab of the browser of a kind, which has these options of a context; a fresh one has no past at all."""
        if kind not in self.contexts:
            self.contexts[kind] = self.browser.new_context(**options)
        free = self.free.setdefault(kind, [])
        return free.pop() if free and not fresh else self.contexts[kind].new_page()

    def leave(self, page: Page, kind: str, fresh: bool, elsewhere: str) -> None:
        """Ends what is on a tab by going elsewhere, to a plain page of the same server: nothing of the test stays."""
        if page.is_closed():
            return
        page.evaluate("try { localStorage.clear() } catch {}")
        if fresh:  # for what it was prepared with stays
            return page.close()
        for other in page.context.pages:
            if other is not page:  # opened by the test
                other.close()
        page.goto(elsewhere)
        page.evaluate("sessionStorage.clear()")
        page.unroute_all()
        page.emulate_media(media="null")
        page.mouse.move(0, 0)
        self.free[kind].append(page)

    def close(self) -> None:
        for context in self.contexts.values():
            context.close()


class Visits:
    """The tabs of a test: what a page on one complains about, a dialog or a request elsewhere fails them all.

    Visits that may be there at the same time have different names.
    """

    def __init__(self, tabs: Tabs, name: str, address: str, elsewhere: str, *, console: bool = False) -> None:
        self.tabs, self.name, self.address, self.elsewhere, self.console = tabs, name, address, elsewhere, console
        self.lent: list[tuple[Page, str, bool]] = []
        self.trouble: list[str] = []
        self.listening: list[tuple[Page, str, Callable[[Any], None]]] = []

    def begin(self, options: dict[str, Any], *, fresh: bool = False) -> Page:
        """A tab whose storage no other page of the test shares."""
        kind = f"{self.name} {len(self.lent)} {options}"
        page = self.tabs.take(kind, options, fresh)
        self.lent.append((page, kind, fresh))
        inside = (self.address, self.address.replace("127.0.0.1", ELSEWHERE), "data:", "blob:")
        self._note(page, "pageerror", str)
        self._note(page, "dialog", lambda dialog: f"dialog {dialog.message}")
        self._note(page, "request", lambda r: "" if r.url.startswith(inside) else f"asked for {r.url}")
        if self.console:
            self._note(page, "console", lambda message: message.text if message.type == "error" else "")
        return page

    def _note(self, page: Page, event: str, complaint: Callable[[Any], str]) -> None:
        def note(happened: Any) -> None:
            if said := complaint(happened):
                self.trouble.append(said)

        page.on(event, note)  # type: ignore[call-overload]
        self.listening.append((page, event, note))

    def end(self) -> None:
        for page, event, note in self.listening:
            page.remove_listener(event, note)
        for page, kind, fresh in self.lent:
            self.tabs.leave(page, kind, fresh, self.elsewhere)
        trouble = "\n".join(self.trouble)
        assert not trouble, trouble  # no test module: pytest does not write out what is compared
