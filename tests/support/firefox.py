"""Firefox without a driver: scripts run in a page of its by Marionette, the protocol that it speaks itself."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BINARY = shutil.which("firefox-esr") or shutil.which("firefox")
PATIENCE = 60  # seconds


class Firefox:
    """One window. Messages are "length:[0, number, command, arguments]"."""

    def __init__(self, port: int) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        self.number = 0
        self._read()  # its greeting
        self.version: str = self.ask("WebDriver:NewSession")["capabilities"]["browserVersion"]

    def ask(self, command: str, **arguments: Any) -> Any:
        """Errors: RuntimeError with what Firefox says."""
        self.number += 1
        message = json.dumps([0, self.number, command, arguments]).encode()
        self.socket.sendall(f"{len(message)}:".encode() + message)
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(error["message"])
        return result

    def go(self, address: str) -> None:
        """Opens a page."""
        self.ask("WebDriver:Navigate", url=address)

    def run(self, script: str, *given: Any) -> Any:
        """What a script hands to its last argument, which is called once: `arguments[arguments.length - 1]`."""
        return self.ask("WebDriver:ExecuteAsyncScript", script=script, args=list(given), scriptTimeout=1000 * PATIENCE)[
            "value"
        ]

    def _read(self) -> Any:
        head = b""
        while not head.endswith(b":"):
            head += self._some(1)
        size, body = int(head[:-1]), b""
        while len(body) < size:
            body += self._some(size - len(body))
        return json.loads(body)

    def _some(self, size: int) -> bytes:
        data = self.socket.recv(size)
        if not data:
            raise RuntimeError("Firefox has closed the connection")
        return data


@contextmanager
def firefox() -> Iterator[Firefox]:
    """A Firefox of its own profile, ended afterwards."""
    assert BINARY is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        Path(profile, "user.js").write_text(f'user_pref("marionette.port", {port});\n')
        command = [BINARY, "--headless", "--marionette", "--no-remote", "--profile", profile]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            one = Firefox(port)
            yield one
            one.socket.close()
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
