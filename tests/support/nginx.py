"""Debian's nginx before servers of this machine, as deploy/nginx has it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.chromium import ROOT, free_port

PATIENCE = 120  # seconds that it and the servers have to answer


def program() -> str | None:
    """Where nginx is; None where it is not installed."""
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@contextmanager
def before(ports: Sequence[int]) -> Iterator[str]:
    """The address of an nginx that shares readers out between the two servers at these ports. Errors: RuntimeError."""
    found = program()
    if found is None:
        raise RuntimeError("this needs nginx: apt-get install nginx-light")
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name) / "nginx.conf"
        settings.write_text(_configuration(Path(name), port, ports))
        # nginx last: it would take those for dead that only begin
        _wait_for(ports)
        proxy = subprocess.Popen(
            [found, "-p", name, "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for([port])
            yield f"http://127.0.0.1:{port}"
        finally:
            proxy.terminate()
            proxy.wait(20)


def _configuration(folder: Path, port: int, servers: Sequence[int]) -> str:
    """deploy/nginx as it stands, but for the ports and TLS, which loopback has none of."""
    site = (ROOT / "deploy" / "nginx" / "attnviz.conf").read_text("utf-8")
    site = site.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    site = re.sub(r"^ *(ssl_|server_name ).*\n", "", site, flags=re.MULTILINE)
    for number, server in zip((8501, 8502), servers, strict=True):
        site = site.replace(f"127.0.0.1:{number}", f"127.0.0.1:{server}")
    temporary = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{ access_log off; {temporary}\n{site} }}\n"
    )


def _wait_for(ports: Sequence[int]) -> None:
    until = time.monotonic() + PATIENCE
    for port in ports:
        while not _answers(f"http://127.0.0.1:{port}/healthz"):
            if time.monotonic() > until:
                raise RuntimeError(f"{port} does not answer")
            time.sleep(0.2)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
