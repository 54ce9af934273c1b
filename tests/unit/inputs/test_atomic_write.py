"""A file is there whole or not at all, and what a killed process had written of it goes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from attnviz.errors import ModelError
from attnviz.inputs.atomic_write import write_whole
from tests.support.disks import full_disk


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_on_a_full_disk_the_old_file_stays_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_whole(out, b"old")
    with full_disk(), pytest.raises(ModelError, match=r"page.html cannot be written: File too large. What stood there"):
        write_whole(out, bytes(2_000))
    assert out.read_bytes() == b"old" and names(tmp_path) == ["page.html"]


def test_what_a_killed_process_had_written_goes_with_the_next_write(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine, other = f".page.html.{os.getpid()}-abc", f".page.html.old.{ended.pid}-abc"
    for name in (f".page.html.{ended.pid}-abc", mine, other):
        (tmp_path / name).write_bytes(b"half")
    write_whole(tmp_path / "page.html", b"new")
    assert names(tmp_path) == sorted([mine, other, "page.html"])


def test_a_link_leads_to_the_file_that_is_written(tmp_path: Path) -> None:
    out, link = tmp_path / "folder" / "page.html", tmp_path / "latest.html"
    write_whole(out, b"old")
    link.symlink_to(out)
    write_whole(link, b"new")
    assert link.is_symlink() and out.read_bytes() == b"new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, b"numbers")
    reader.join(20)
    assert read == [b"numbers"] and pipe.is_fifo()
