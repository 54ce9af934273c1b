"""Two replicas behind nginx, as deploy/nginx has them: one is killed, and its readers go on at the other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support import chromium

pytestmark = [pytest.mark.e2e, pytest.mark.nightly]

ROOT = Path(__file__).parents[2]
READERS = 20
PATIENCE = 120_000  # milliseconds


@dataclass(frozen=True)
class Replicas:
    address: str
    processes: dict[int, subprocess.Popen[bytes]]  # by port


def configuration(folder: Path, port: int, replicas: list[int]) -> str:
    """deploy/nginx as it stands, but for the ports and TLS, which loopback has none of."""
    site = (ROOT / "deploy" / "nginx" / "attnviz.conf").read_text("utf-8")
    site = site.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    site = re.sub(r"^ *(ssl_|server_name ).*\n", "", site, flags=re.MULTILINE)
    for number, replica in zip((8501, 8502), replicas, strict=True):
        site = site.replace(f"127.0.0.1:{number}", f"127.0.0.1:{replica}")
    temporary = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{ access_log off; {temporary}\n{site} }}\n"
    )


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    assert Path(nginx).exists(), "this test needs nginx: apt-get install nginx-light"
    ports = [chromium.free_port(), chromium.free_port()]
    port = chromium.free_port()
    options = ["--server.headless=true", "--server.address=127.0.0.1"]
    environment = {**os.environ, "STREAMLIT_SERVER_COOKIE_SECRET": "of-this-test"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = {
        one: subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "serve.py", *options, f"--server.port={one}"],
            cwd=ROOT,
            env=environment,
            **quiet,
        )
        for one in ports
    }
    (tmp_path / "nginx.conf").write_text(configuration(tmp_path, port, ports))
    proxy = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], **quiet)
    try:
        until = time.monotonic() + 120
        for one in (*ports, port):  # nginx last: it would take those for dead that only begin
            while not answers(f"http://127.0.0.1:{one}/healthz"):
                assert time.monotonic() < until, f"{one} does not answer"
                time.sleep(0.2)
        yield Replicas(f"http://127.0.0.1:{port}", processes)
    finally:
        for process in (proxy, *processes.values()):
            process.terminate()
        for process in (proxy, *processes.values()):
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
