"""A training from the command line that is killed before any of its writes, or finds no room: nothing saved is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attnviz.models.safetensors_io import read_safetensors
from tests.support.chromium import ROOT

pytestmark = pytest.mark.nightly
STEPS, EVERY = 6, 2
TRAIN = [
    "train",
    "copy",
    "--preset",
    "small",
    "--set",
    f"steps={STEPS}",
    f"eval_every={EVERY}",
    "warmup=2",
    "length=12",
]
TRAIN += ["d_model=16", "n_heads=2", "n_layers=1", "batch=4", "--keep", "2"]
SAVES = ["history.safetensors", "training.json", "checkpoint.safetensors"]
MODEL = ["model.safetensors", "tokenizer.json", "training.json", "README.md", "config.json"]
# The command line's training again and again, each time in a process of its own, which has torch already. Before the
# first, second … file takes its place it is killed, or there is no room any more; then it goes on from what it saved.
PROGRAM = """
import errno, os, signal, sys
import torch, rich.progress, safetensors.torch
torch.set_num_threads(1)
from attnviz.__main__ import main
from attnviz.training import command

place, how, *arguments = sys.argv[1:]
replace, unlink = os.replace, os.unlink

def train(folder, *more, ends_at=None):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    n_steps = 0
    def step(name):
        nonlocal n_steps
        n_steps += 1
        print("writes", os.path.basename(name), flush=True)
        if n_steps == ends_at and how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if ends_at is not None and n_steps >= ends_at and how == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.replace = lambda old, new: (step(new), replace(old, new))
    def taken_away(name):
        if os.path.basename(name) == command.CHECKPOINT and how == "killed":
            step(name)
        unlink(name)
    os.unlink = taken_away
    sys.argv = ["attnviz", *arguments, "--out", folder]
    os._exit(main([*sys.argv[1:], *more]))

assert main([*arguments, "--out", f"{place}/warm"]) == 0  # what is imported here, no child has to import
assert train(f"{place}/whole") == 0
number = ended = 1
while ended:
    folder = f"{place}/{number:02}"
    ended = train(folder, ends_at=number)
    saved = os.path.exists(f"{folder}/{command.CHECKPOINT}")
    if ended:
        print("ended", number, ended, saved, train(folder, *(["--resume"] if saved else [])), flush=True)
    number += 1
"""


@pytest.mark.parametrize(("how", "status"), [("killed", -9), ("full", 1)])
def test_a_training_goes_on_to_the_same_end(how: str, status: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), how, *TRAIN], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    written = [words[1] for words in said if words[:1] == ["writes"]]
    steps = [*SAVES * (STEPS // EVERY), *MODEL, *(["checkpoint.safetensors"] if how == "killed" else [])]
    assert written[: len(steps)] == steps
    ended = [tuple(words[1:]) for words in said if words[:1] == ["ended"]]
    n_saved = steps.index("checkpoint.safetensors") + 1  # before, there is nothing to go on from
    assert ended == [(str(number), str(status), str(number > n_saved), "0") for number in range(1, len(steps) + 1)]
    if how == "full":
        sentences = [line for line in done.stderr.splitlines() if line]
        assert len(sentences) == len(steps)
        assert all(
            "cannot be written: No space left on device. What stood there is untouched." in one for one in sentences
        )
    whole = lasting(tmp_path / "whole")
    assert len(whole["curve"]) == STEPS and len(whole["evaluations"]) == STEPS // EVERY
    for number in range(1, len(steps) + 1):
        folder = tmp_path / f"{number:02}"
        assert sorted(path.name for path in folder.iterdir()) == sorted({*SAVES, *MODEL} - {"checkpoint.safetensors"})
        assert lasting(folder) == whole, number


def lasting(folder: Path) -> dict[str, Any]:
    """What a training leaves, but for how long it took."""
    log = json.loads((folder / "training.json").read_text("utf-8"))
    return {
        **{name: log[name] for name in ("metrics", "curve", "evaluations", "steps", "config")},
        **{name: (folder / name).read_bytes() for name in ("config.json", "tokenizer.json")},
        **{
            name: {tensor: x.tolist() for tensor, x in read_safetensors(folder / name).items()}
            for name in ("model.safetensors", "history.safetensors")
        },
    }
