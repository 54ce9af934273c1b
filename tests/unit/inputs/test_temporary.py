"""What a killed process leaves in the temporary folder goes when the next one starts."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from attnviz.errors import ModelError
from attnviz.inputs.temporary import remove_left_folders, temporary_folder


def test_where_no_folder_can_be_made_a_sentence_says_so_and_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/srv/secret/place")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(ModelError) as refused:
        temporary_folder()
    assert str(refused.value) == "No file can be written here: No space left on device."


def test_only_the_folders_of_processes_that_are_no_more_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f"attnviz-{ended.pid}-abc"
    (left / "upload").mkdir(parents=True)
    for name in (f"attnviz-{os.getpid()}-x", "attnviz-notes", f"other-{ended.pid}-abc"):
        (tmp_path / name).mkdir()
    with temporary_folder() as mine:
        assert remove_left_folders() == [left]
        assert Path(mine).is_dir() and not left.exists() and len(list(tmp_path.iterdir())) == 4
