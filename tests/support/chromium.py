"""A real Chromium, and a server of the app: what the tests in a browser and the benchmarks share."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Playwright

ROOT = Path(__file__).parents[2]
ELSEWHERE = "attnviz.test"  # a name of this machine that is not its own loopback name, as others see a server
PATIENCE = 60  # seconds that a server has to start, and to end
# Every new window would load 400 files for the popup of its address bar, in the very second in which its page loads.
# Chromium reads the last list only, so that of Playwright is repeated.
WITHOUT = [
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
]
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(WITHOUT)}",
    f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
]


@dataclass(frozen=True)
class Server:
    """A Streamlit server of its own on this machine."""

    address: str
    seconds: float  # from its start to its first healthy answer
    process: int  # its id


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium, without anything that would ask the network on its own."""
    return playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serve(
    script: Path = ROOT / "app.py", *, root: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server for `script` under the settings of a checkout, ended with the block. Errors: RuntimeError."""
    port = free_port()
    begin = time.perf_counter()
    options = ["--server.headless=true", "--server.address=127.0.0.1", f"--server.port={port}"]
    options.append(f"--server.corsAllowedOrigins=http://{ELSEWHERE}:{port}")
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), *options],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while not _healthy(address):
            if server.poll() is not None or time.perf_counter() - begin > PATIENCE:
                raise RuntimeError(f"{script.name}: the server did not start")
            time.sleep(0.02)
        yield Server(address, time.perf_counter() - begin, server.pid)
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            raise


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
            return True
    except OSError:
        return False
