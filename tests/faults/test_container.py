"""The container's file without an engine: its files in a fresh folder, its command as its user, who may write nothing.

What its first stage builds, an environment from deploy/community-cloud, is here the one that the tests run in. That may
lie where only root may look: so its user has one right more than in a container, to read what others may not.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import ROOT, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.nightly]
PATIENCE = 120.0  # seconds until it is well


def instructions() -> list[tuple[str, str]]:
    """The last stage of the file, one instruction a line."""
    lines = (ROOT / "deploy" / "container" / "Dockerfile").read_text("utf-8").splitlines()
    named = [line.partition(" ")[::2] for line in lines if line and not line.startswith("#")]
    last = max(number for number, (name, _) in enumerate(named) if name == "FROM")
    return named[last + 1 :]


def copied(image: Path) -> None:
    """Does what COPY says, but for the environment of the first stage."""
    for name, what in instructions():
        if name == "COPY" and not what.startswith("--from"):
            *sources, target = what.split()
            place = image / target.lstrip("/")
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    whole = place / source if target.endswith("/") else place
                    whole.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, whole)


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def reading() -> str:
    """The right to read all, as setpriv names it; where this process has none to give, the environment is opened."""
    rights = re.search(r"^CapBnd:\t(\w+)$", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    if rights and int(rights[1], 16) & 4:
        return ",+dac_read_search"
    for folder in Path(sys.prefix).parents:
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o055)
    return ""


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A folder that every user may read: pytest's own are their owner's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_its_steps_run_as_a_user_without_rights_on_files_that_cannot_be_written(fresh: Path) -> None:
    assert os.getuid() == 0, "only root can become another user: run this test as root, as in a container"
    image, temporary, port = fresh / "image", fresh / "tmp", free_port()
    said = dict(instructions())
    copied(image)
    run = [word.replace("/app", str(image / "app")) for word in shlex.split(said["RUN"])]
    assert run[0] == "/venv/bin/python"
    subprocess.run([sys.executable, *run[1:]], check=True, timeout=PATIENCE)
    assert list((image / "app" / "attnviz" / "__pycache__").glob("*.pyc"))
    temporary.mkdir()
    temporary.chmod(0o777)  # --tmpfs /tmp
    for path in (image, *image.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    user, group = said["USER"].split(":")
    as_user = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
    right = reading()
    as_user += [f"--{which}=-all{right}" for which in ("inh-caps", "ambient-caps", "bounding-set")]
    variables = dict(pair.split("=", 1) for pair in shlex.split(said["ENV"]))
    environment = {name: value.replace("/tmp", str(temporary)) for name, value in variables.items()}
    environment |= {"PATH": os.environ["PATH"], "TMPDIR": str(temporary)}

    def here(command: str) -> list[str]:
        words = [word.replace("8501", str(port)).replace("0.0.0.0", "127.0.0.1") for word in json.loads(command)]
        assert words[0] == "/venv/bin/python"
        return [*as_user, sys.executable, *words[1:]]

    check = here(re.search(r"CMD (\[.+\])$", said["HEALTHCHECK"])[1])  # type: ignore[index]
    before = contents(image)
    folder = image / said["WORKDIR"].lstrip("/")
    server = subprocess.Popen(
        here(said["CMD"]), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        until = time.monotonic() + PATIENCE
        while subprocess.run(check, cwd=folder, env=environment, capture_output=True).returncode:
            assert server.poll() is None, (server.stdout.read() if server.stdout else b"").decode()
            assert time.monotonic() < until
            time.sleep(0.5)
        owner = Path(f"/proc/{server.pid}/status").read_text("ascii")
        assert re.search(rf"^Uid:\t{user}\t{user}\t{user}\t{user}$", owner, re.MULTILINE)
        assert re.search(rf"^CapEff:\t0+{4 if right else 0}$", owner, re.MULTILINE)
        asked = f"import pathlib; pathlib.Path({str(folder / 'x')!r}).write_text('x')"
        writes = subprocess.run(
            [*as_user, sys.executable, "-c", asked], env=environment, capture_output=True, text=True
        )
        assert "PermissionError" in writes.stderr
    finally:
        server.terminate()
        output = server.communicate(timeout=30)[0].decode()
    assert "Traceback" not in output, output
    assert contents(image) == before
