"""Checkpoints: whole or not there, whatever happens while one is written; and what is no checkpoint is refused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from attnviz import checkpoints
from attnviz.errors import ModelError
from attnviz.training import Training, preset

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 1, "batch": 4, "steps": 6, "warmup": 2, "eval_every": 3}
SAVE_FOREVER = """
import sys, itertools
from pathlib import Path
from attnviz.training import Training, preset
run = Training(preset("induction", "small", d_model=128, n_heads=2, n_layers=2, steps=1000))
for run.done in itertools.count(1):
    run.save(Path(sys.argv[1]))
    print(run.done, flush=True)
"""


@pytest.fixture
def run() -> Training:
    return Training(preset("induction", "small", **TINY))


def test_a_killed_save_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """Twenty times: SIGKILL at a random moment of a loop of saves; what stands there always loads."""
    file = tmp_path / "checkpoint.safetensors"
    moments = torch.rand(20, generator=torch.Generator().manual_seed(0)).tolist()
    saved = []
    for moment in moments:
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(file)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(0.05 * moment)  # any moment of a save; there is nothing to wait for
        process.send_signal(signal.SIGKILL)
        process.communicate()
        about, tensors = checkpoints.load(file)
        saved.append(about["done"])
        assert all(bool(torch.isfinite(x).all()) for x in tensors.values())
    assert len(set(saved)) > 1  # the moments did differ


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
