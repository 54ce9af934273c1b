"""The app as a host runs it: `python -m attnviz serve`, with headers, health and what is made ready beside it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.chromium import ELSEWHERE, ROOT, free_port


@contextmanager
def served() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """What a container or a unit starts, once it is healthy, and its address."""
    port = free_port()
    options = ["--server.headless=true", f"--server.port={port}"]
    options.append(f"--server.corsAllowedOrigins=http://{ELSEWHERE}:{port}")
    command = [sys.executable, "-m", "attnviz", "serve", "--", *options]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while not answers(f"{address}/healthz"):
            assert time.monotonic() < until and server.poll() is None
            time.sleep(0.1)
        yield server, address
    finally:
        server.kill()
        server.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False
