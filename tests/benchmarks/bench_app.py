"""From starting the server to the first page, and from a control to the new picture, in a real Chromium.

python -m attnviz bench app
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console

ROOT = Path(__file__).parents[2]
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def start() -> tuple[subprocess.Popen[bytes], str, float]:
    """A fresh server, its address, and the seconds until it was healthy."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = time.perf_counter()
    options = ["--server.headless=true", "--server.address=127.0.0.1", f"--server.port={port}"]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", *options],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    while True:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
            return server, address, time.perf_counter() - begin
        except OSError:
            if server.poll() is not None or time.perf_counter() - begin > 60:
                raise RuntimeError("the server did not start") from None
            time.sleep(0.02)


def first_view(page: Page, address: str) -> float:
    """Seconds from navigation to the painted view."""
    begin = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".av-say", timeout=60_000)
    return time.perf_counter() - begin


def change_to_picture(page: Page, n: int) -> list[float]:
    """Seconds from a click on a mask, run through the whole model, to the picture of the new run."""
    page.get_by_role("radio", name="The whole model").click()
    seconds = []
    for i in range(n):
        name, mark = ("Causal", "causal") if i % 2 == 0 else ("Window", "window")
        begin = time.perf_counter()
        page.get_by_role("radio", name=name).click()
        page.wait_for_url(f"**mask={mark}**")
        seconds.append(time.perf_counter() - begin)
        page.wait_for_timeout(300)
    return seconds


def main() -> None:
    """Prints the figures."""
    out = Console(width=110)
    server, address, healthy = start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
            cold = first_view(browser.new_context().new_page(), address)
            warm = []
            for _ in range(5):
                context = browser.new_context(viewport={"width": 1440, "height": 900})
                page = context.new_page()
                warm.append(first_view(page, address))
            changes = change_to_picture(page, 10)
            browser.close()
    finally:
        server.terminate()
        server.wait(10)
    out.print(f"server start to healthy: {healthy:.2f} s; to the first page painted: {healthy + cold:.2f} s")
    out.print(f"a further visitor, navigation to painted view: {statistics.median(warm):.2f} s (median of 5)")
    ordered = sorted(changes)
    out.print(
        f"control, run through the model, to the new picture: {statistics.median(changes) * 1e3:.0f} ms "
        f"(median of 10; slowest {ordered[-1] * 1e3:.0f} ms)"
    )


if __name__ == "__main__":
    main()
