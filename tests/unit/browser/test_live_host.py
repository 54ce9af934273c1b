"""The live page's folder on a static host: what visitors ask for, the first time and again."""

from __future__ import annotations

import copy
import functools
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.error import HTTPError

import pytest
import torch
from playwright.sync_api import Browser, BrowserContext, Page, expect

from attnviz import load
from attnviz.browser import live

VISITORS = 1000
A_YEAR = 365 * 24 * 3600  # seconds
LEAVE = """() => {
  const text = document.getElementById("live-text"), model = document.getElementById("live-model");
  text.value = "The fox";
  text.dispatchEvent(new Event("input"));
  model.value = "tales";
  model.dispatchEvent(new Event("change"));
}"""


class Counted(SimpleHTTPRequestHandler):
    """Any static host: files of a folder, the requests counted with their answers."""

    answers: ClassVar[list[tuple[str, int]]] = []
    policy: ClassVar[str] = "no-cache"  # the browser asks each time whether there is something newer

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.answers.append((self.path.partition("?")[0], int(code)))

    def end_headers(self) -> None:
        if self.policy:
            self.send_header("Cache-Control", self.policy)
        super().end_headers()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page with Induction in it and Tales beside it."""
    monkeypatch.setattr(live, "LARGE", 200_000)
    live.write_folder(tmp_path, [load("induction"), load("tales")])
    return tmp_path


@contextmanager
def hosting(folder: Path) -> Iterator[str]:
    host = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Counted, directory=str(folder)))
    threading.Thread(target=host.serve_forever, daemon=True).start()
    Counted.answers.clear()
    try:
        yield f"http://127.0.0.1:{host.server_port}"
    finally:
        host.shutdown()


def visit(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#attnviz-live[data-ready]")
    page.get_by_role("textbox", name="Text").fill("The old fox saw a bird.")
    expect(page.locator(".av-chip")).to_have_count(len(load("tales").encode("The old fox saw a bird.")))
    return page


def test_a_second_visit_asks_a_static_host_for_nothing_but_whether_it_is_new(folder: Path, browser: Browser) -> None:
    context = browser.new_context()
    visits = []
    with hosting(folder) as address:
        for _ in range(2):
            Counted.answers.clear()
            visit(context, f"{address}/#model=tales&text=The+old+fox").close()
            visits.append(list(Counted.answers))
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/#model=induction&text=Mr+Dursley")
        page.wait_for_selector("#attnviz-live[data-ready]")
        page.evaluate(LEAVE)  # while an answer of the first model is under way
        expect(page.locator(".av-chip")).to_have_text(list(load("tales").encode("The fox").labels))
        assert errors == [] and page.locator("#live-trouble").is_hidden()
        context.close()
    assert visits[0] == [("/", 200), ("/models/tales.attnviz", 200)]
    assert visits[1] == [("/", 304), ("/models/tales.attnviz", 304)]


def test_a_newer_page_takes_no_older_model_from_the_cache(
    folder: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counted, "policy", "")  # then a browser takes what has not changed for long as fresh for long

    def age() -> None:
        for path in folder.rglob("*.*"):
            os.utime(path, (path.stat().st_mtime - A_YEAR,) * 2)

    age()
    context = browser.new_context()
    with hosting(folder) as address:
        visit(context, f"{address}/#model=tales").close()
        Counted.answers.clear()
        page = visit(context, f"{address}/#model=tales")
        assert Counted.answers == []
        transformer = copy.deepcopy(load("tales").transformer)
        with torch.no_grad():
            next(transformer.parameters()).mul_(2)
        live.write_folder(folder, [load("induction"), replace(load("tales"), transformer=transformer)])
        age()
        page.reload()
        page.wait_for_selector("#attnviz-live[data-ready]")
        context.close()
    assert ("/models/tales.attnviz", 200) in Counted.answers


@pytest.mark.nightly
def test_a_thousand_visitors_are_served_by_pythons_own_file_server(folder: Path, browser: Browser) -> None:
    log = folder.parent / f"{folder.name}.log"
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as host:
        try:
            assert host.stdout is not None
            port = re.search(r"port (\d+)", host.stdout.readline())
            assert port is not None
            address = f"http://127.0.0.1:{port[1]}"

            def asked() -> list[tuple[str, ...]]:
                return re.findall(r'"GET (\S+) HTTP/[\d.]+" (\d+)', log.read_text())

            context = browser.new_context()
            visit(context, f"{address}/#model=tales").close()
            real = asked()
            assert [status for _, status in real] == ["200", "200"]
            visit(context, f"{address}/#model=tales").close()
            assert set(asked()[2:]) <= {(path, "304") for path, _ in real}
            context.close()
            before, paths = len(asked()), [path for path, _ in real]

            def visitor(_: int) -> None:
                """What the real one asked for, and again whether it is new."""
                for path in paths:
                    with urllib.request.urlopen(address + path, timeout=60) as answer:
                        assert answer.read()
                        known = answer.headers["Last-Modified"]
                    again = urllib.request.Request(address + path, headers={"If-Modified-Since": known})
                    with pytest.raises(HTTPError, match="304"):
                        urllib.request.urlopen(again, timeout=60)

            with ThreadPoolExecutor(16) as pool:
                list(pool.map(visitor, range(VISITORS)))
            expected = {(path, code): VISITORS for path in paths for code in ("200", "304")}
            assert Counter(asked()[before:]) == expected
            assert all(" 200 " in line or " 304 " in line for line in log.read_text().splitlines())
        finally:
            host.terminate()
