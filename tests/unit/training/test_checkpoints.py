"""Checkpoints: whole or not there, whatever happens while one is written; and what is no checkpoint is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from attnviz.errors import ModelError
from attnviz.training import checkpoints
from attnviz.training.loop import Training, preset

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 1, "batch": 4, "steps": 6, "warmup": 2, "eval_every": 3}
KILL_MANY_TIMES = """
import itertools, os, random, signal, sys, time
from pathlib import Path
import torch
from attnviz.training import checkpoints
from attnviz.training.loop import Training, preset
torch.set_num_threads(1)
file, moments = Path(sys.argv[1]), random.Random(0)
run = Training(preset("induction", "small", d_model=128, n_heads=2, n_layers=2, steps=1000))
run.save(file)
for _ in range(int(sys.argv[2])):
    before = os.stat(file).st_ino
    child = os.fork()
    if child == 0:
        for run.done in itertools.count(1):
            run.save(file)
    while os.stat(file).st_ino == before:  # the first save of the child is through
        time.sleep(0.001)
    time.sleep(moments.random() * 0.05)  # any moment of a later one: there is nothing to wait for
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    about, tensors = checkpoints.load(file)
    print(about["done"], all(bool(torch.isfinite(x).all()) for x in tensors.values()))
"""


@pytest.fixture
def run() -> Training:
    return Training(preset("induction", "small", **TINY))


@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.nightly)])
def test_a_killed_save_leaves_a_whole_checkpoint(tmp_path: Path, times: int) -> None:
    """SIGKILL at random moments of a loop of saves; what stands there always loads."""
    command = [sys.executable, "-c", KILL_MANY_TIMES, str(tmp_path / "checkpoint.safetensors"), str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    saved = [line.split() for line in done.stdout.splitlines()]
    assert len(saved) == times and all(whole == "True" for _, whole in saved)
    assert len({number for number, _ in saved}) > 1  # the moments did differ


def test_a_full_disk_is_said_and_the_old_checkpoint_stays(
    run: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "checkpoint.safetensors"
    run.save(file)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    run._step()
    with pytest.raises(ModelError, match="No space left on device"):
        run.save(file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == [file.name]  # nothing half written is left


def test_a_folder_that_cannot_be_written_is_said(run: Training, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(ModelError, match=r"checkpoint.* cannot be written"):
        run.save(tmp_path / "taken" / "checkpoint.safetensors")


def test_a_truncated_checkpoint_is_refused(run: Training, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    run.save(file)
    whole = file.read_bytes()
    for length in (0, 3, 8, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            Training.resume(file)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    with pytest.raises(ModelError, match="No such file"):
        Training.resume(file)
    save_file({"a": torch.zeros(2)}, file)
    with pytest.raises(ModelError, match="not a checkpoint"):
        Training.resume(file)
    save_file({"a": torch.zeros(2)}, file, {"format": checkpoints.FORMAT, "about": "{}"})
    with pytest.raises(ModelError, match="cannot be resumed"):
        Training.resume(file)


def test_a_checkpoint_of_another_architecture_is_refused(run: Training, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    run.save(file)
    _, tensors = checkpoints.load(file)
    other = Training(preset("induction", "small", **TINY | {"d_model": 32}))
    before = {name: x.clone() for name, x in other.model.state_dict().items()}
    with pytest.raises(ModelError, match=r"another architecture: .* is \(.*16.*\) there and \(.*32.*\) here"):
        checkpoints.restore(tensors, other.model, other.optimizer, file.name)
    assert all(torch.equal(before[name], x) for name, x in other.model.state_dict().items())
