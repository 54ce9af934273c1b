"""Two replicas behind nginx, as deploy/nginx has them: one is killed, and its readers go on at the other."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support import chromium, nginx

pytestmark = [pytest.mark.e2e, pytest.mark.nightly]

ROOT = Path(__file__).parents[2]
READERS = 20
PATIENCE = 120_000  # milliseconds


@dataclass(frozen=True)
class Replicas:
    address: str
    processes: dict[int, subprocess.Popen[bytes]]  # by port


@pytest.fixture
def replicas() -> Iterator[Replicas]:
    ports = [chromium.free_port(), chromium.free_port()]
    options = ["--server.headless=true", "--server.address=127.0.0.1"]
    environment = {**os.environ, "STREAMLIT_SERVER_COOKIE_SECRET": "of-this-test"}
    processes = {
        one: subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "serve.py", *options, f"--server.port={one}"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for one in ports
    }
    try:
        with nginx.before(ports) as address:
            yield Replicas(address, processes)
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(20)


def text(page: Page) -> str:
    return page.locator("[data-testid=stSidebar] textarea").first.input_value()


def view(page: Page) -> str:
    """The sentence of the attention view, which names layer and head."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=PATIENCE)
    page.locator(".av-say").first.wait_for(timeout=PATIENCE)
    return page.locator(".av-say").first.inner_text()


def refused_by_nginx(address: str) -> bool:
    """Whether no replica was asked, whose answers have a policy."""
    try:
        with urllib.request.urlopen(address, timeout=20):
            return False
    except urllib.error.HTTPError as error:
        return error.code == 404 and "Content-Security-Policy" not in error.headers


def test_a_replica_is_killed_and_nobody_loses_the_view(replicas: Replicas, browser: Browser) -> None:
    assert refused_by_nginx(f"{replicas.address}/_stcore/metrics")
    pages, before = [], []
    for number in range(READERS):
        page = browser.new_context(viewport={"width": 900, "height": 700}).new_page()
        page.goto(f"{replicas.address}/?text=Reader {number} reads this&model=austen&layer=1&head=2")
        before.append((view(page), text(page)))
        pages.append(page)
    assert all(page.context.cookies() for page in pages), "each browser has its replica's cookie"
    killed = next(iter(replicas.processes.values()))
    killed.kill()
    killed.wait()
    for number, page in enumerate(pages):  # without a reload: the page finds the other replica by itself
        assert (view(page), text(page)) == before[number]
        page.locator("[data-testid=stSidebar] textarea").first.fill(f"Reader {number} types")
        page.keyboard.press("Control+Enter")
        page.wait_for_function("wanted => location.href.includes(wanted)", arg="types", timeout=PATIENCE)
        assert "layer=1" in page.url and "head=2" in page.url
    for number, page in enumerate(pages):  # and with one
        page.reload()
        now = view(page)
        assert text(page) == f"Reader {number} types" and now.split(":")[0] == before[number][0].split(":")[0]
    for page in pages:
        page.context.close()
