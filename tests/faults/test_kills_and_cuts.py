"""Processes killed, disks full, connections cut, at any moment: what was saved is whole, and the app stays."""

from __future__ import annotations

import asyncio
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import attnviz
from attnviz.inputs.temporary import remove_left_folders
from attnviz.models.catalogue import load_archive
from tests.benchmarks.bench_load import watched
from tests.support.chromium import ROOT
from tests.support.readers import Reader, done

nightly = pytest.mark.nightly
EXPORTS = """
import sys
from pathlib import Path
import attnviz
from attnviz.models.export import export
model = attnviz.load("induction")
while True:
    export(model, Path(sys.argv[1]))
    print("exported", flush=True)
"""
UPLOADS = """
import sys
from pathlib import Path
from attnviz.models.catalogue import load_archive
while True:
    load_archive(Path(sys.argv[1]).read_bytes(), "theirs")
    print("read", flush=True)
"""


def killed_at_any_moment(program: str, *arguments: str, seed: int) -> None:
    """Runs a loop until it has gone through once, and kills it at some moment of a later round."""
    child = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None and child.stdout.readline()
    time.sleep(random.Random(seed).random() * 0.3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()


@nightly
@pytest.mark.parametrize("name", ["model.npz", "model.json", "folder"])
def test_an_export_that_is_killed_leaves_a_whole_file(name: str, tmp_path: Path) -> None:
    out = tmp_path / name
    for seed in range(4):
        killed_at_any_moment(EXPORTS, str(out), seed=seed)
        if name.endswith(".npz"):
            with np.load(out, allow_pickle=False) as arrays:
                assert arrays.files and all(
                    arrays[one].shape is not None for one in arrays.files
                )  # each by its checksum
        elif name.endswith(".json"):
            assert out.read_text("utf-8").rstrip().endswith("}")
        else:
            assert attnviz.load(str(out)).run("abab").layers


@nightly
def test_an_upload_that_is_killed_leaves_nothing_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fuzz.test_files_and_texts import folder, packed

    archive, temporary = tmp_path / "theirs.zip", tmp_path / "temporary"
    temporary.mkdir()
    archive.write_bytes(packed(folder("digits")))
    monkeypatch.setenv("TMPDIR", str(temporary))
    for seed in range(4):
        killed_at_any_moment(UPLOADS, str(archive), seed=seed)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    remove_left_folders()
    assert [path.name for path in temporary.iterdir() if path.name.startswith("attnviz-")] == []
    assert load_archive(archive.read_bytes(), "theirs").transformer


@nightly
@pytest.mark.parametrize("name", ["model.npz", "model.json", "folder"])
def test_an_export_to_a_full_disk_is_a_sentence_and_the_old_one_stays(name: str, tmp_path: Path) -> None:
    out = tmp_path / name
    command = [sys.executable, "-m", "attnviz", "export", "induction", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    before = {path.name: path.read_bytes() for path in ([*out.iterdir()] if out.is_dir() else [out])}

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # bytes of any file that is written

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=full)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "cannot be written" in done.stderr and "untouched" in done.stderr
    assert {path.name: path.read_bytes() for path in ([*out.iterdir()] if out.is_dir() else [out])} == before


@nightly
def test_a_connection_that_is_cut_fifty_times_leaves_no_session_and_no_failure() -> None:
    async def cut(address: str, chance: random.Random) -> None:
        async with Reader(address) as reader:
            run = asyncio.create_task(reader.open(chance.choice(["", "softmax", "masks", "train", "generate"])))
            await asyncio.sleep(chance.random() * 0.4)
            reader.cut()
            await asyncio.gather(run, return_exceptions=True)

    async def go() -> None:
        chance = random.Random(1)
        with watched() as server:
            for _ in range(50):
                await cut(server.address, chance)
            until = time.monotonic() + 10
            while server.figure("attnviz_sessions"):
                assert time.monotonic() < until, "sessions are left"
                await asyncio.sleep(0.1)
            assert server.figure("attnviz_failed_runs_total") == 0
            async with Reader(server.address) as reader:
                assert not (await reader.open("")).error
                assert not (await reader.type("Is it still there?")).error

    done(go())


def test_no_clock_that_can_be_set_back_is_read() -> None:
    """Durations and deadlines are of the monotonic clock; only what is shown or signed may know the date."""
    wall = re.compile(r"\btime\.(time|time_ns|localtime|gmtime)\(|\b(now|utcnow|today)\(\)")
    files = [*(ROOT / "attnviz").rglob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py", ROOT / "serve.py"]
    assert len(files) > 200
    assert [str(path) for path in files if wall.search(path.read_text("utf-8"))] == []
