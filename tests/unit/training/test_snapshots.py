"""A training's history: the weights it really had, at the steps that the rule says, in a file that is checked."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import attnviz
from attnviz.__main__ import main
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.training import command, snapshots
from attnviz.training.loop import Training, preset

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 1, "batch": 4, "steps": 9, "warmup": 2, "eval_every": 3}
CONFIG = preset("induction", "small", **TINY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("history") / "model"
    command.run(CONFIG, None, place, title=None, resume=False, command=[], keep=4)
    return place


def test_the_command_line_keeps_a_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [f"{name}={value}" for name, value in TINY.items()]
    arguments = ["train", "induction", "--preset", "small", "--set", *settings, "--out", str(tmp_path / "m")]
    assert main([*arguments, "--keep", "3"]) == 0
    assert snapshots.read(tmp_path / "m").steps == (0, 2, 9)
    capsys.readouterr()
    assert main([*arguments, "--keep", "1"]) == 1
    assert "keep=1 is not within 2 … 200" in capsys.readouterr().err


@given(st.integers(1, 5000), st.integers(2, snapshots.MOST))
def test_moments_reach_from_before_to_after_and_lie_closest_at_the_start(steps: int, keep: int) -> None:
    at = snapshots.moments(steps, keep)
    assert at[0] == 0 and at[-1] == steps and len(at) <= keep
    gaps = [b - a for a, b in pairwise(at)]
    assert min(gaps) > 0
    assert all(later >= earlier - 1 for earlier, later in pairwise(gaps))  # as rounded
    exact = [steps * (i / (keep - 1)) ** 2 for i in range(keep)]
    assert {round(x) for x in exact} == set(at)


@pytest.mark.parametrize("keep", [-1, 1, snapshots.MOST + 1])
def test_a_number_of_checkpoints_that_is_none_is_refused(keep: int) -> None:
    with pytest.raises(InvalidParameterError, match=f"keep={keep} "):
        snapshots.moments(100, keep)


def test_each_checkpoint_is_the_training_at_that_step(folder: Path) -> None:
    found = snapshots.read(folder)
    assert found.steps == (0, 1, 4, 9)
    again = Training(CONFIG)
    weights = {0: again.model.state_dict()}
    weights[0] = {name: x.clone() for name, x in weights[0].items()}
    for step in again.steps():
        weights[step.number] = {name: x.clone() for name, x in again.model.state_dict().items()}
    for i, step in enumerate(found.steps):
        own = found.model(i).state_dict()
        assert own.keys() == weights[step].keys()
        assert all(torch.equal(own[name], x.half().float()) for name, x in weights[step].items())


def test_the_last_checkpoint_is_the_model_of_the_folder(folder: Path) -> None:
    last, ids = snapshots.read(folder).model(3), torch.tensor([[1, 300, 301, 302]])
    with torch.inference_mode():
        logits = attnviz.load(str(folder)).transformer(ids).logits
        assert torch.equal(last(ids).logits, logits)
    assert {file.name for file in folder.iterdir()} == {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "training.json",
        "README.md",
        "history.safetensors",
    }


def test_a_training_gone_on_with_keeps_the_same_history(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Training._step

    def interrupted(self: Training):
        if self.done == 5:  # after the moment 4, before the evaluation that would save it
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Training, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.run(CONFIG, None, tmp_path, title=None, resume=False, command=[], keep=4)
    monkeypatch.setattr(Training, "_step", step)
    assert len(load_file(tmp_path / snapshots.FILE)["embed.tokens.weight"]) == 2
    command.run(CONFIG, None, tmp_path, title=None, resume=True, command=[], keep=4)
    cut, whole = load_file(tmp_path / snapshots.FILE), load_file(folder / snapshots.FILE)
    assert cut.keys() == whole.keys() and all(torch.equal(cut[name], whole[name]) for name in whole)
    assert snapshots.read(tmp_path).steps == snapshots.read(folder).steps


def test_what_was_kept_after_the_checkpoint_is_dropped(folder: Path) -> None:
    """Killed between the history and the checkpoint: the steps in between are made once more."""
    model = Training(CONFIG).model
    assert len(snapshots.Recorder.resume(folder / snapshots.FILE, model, 3).kept) == 2
    assert len(snapshots.Recorder.resume(folder / snapshots.FILE, model, 4).kept) == 3


def test_a_history_begins_with_the_training(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="begins with the training"):
        command.recorder_for(Training(CONFIG), tmp_path / snapshots.FILE, 4, resume=True)
    assert command.recorder_for(Training(CONFIG), tmp_path / snapshots.FILE, 0, resume=True) is None


def test_the_history_of_another_training_does_not_stay(folder: Path, tmp_path: Path) -> None:
    (tmp_path / snapshots.FILE).write_bytes((folder / snapshots.FILE).read_bytes())
    command.run(CONFIG, None, tmp_path, title=None, resume=False, command=[])
    assert not (tmp_path / snapshots.FILE).exists()


def test_more_than_memory_should_hold_is_refused() -> None:
    large = Training(preset("induction", d_model=1024, n_heads=4)).model
    with pytest.raises(InvalidParameterError, match=r"200 checkpoints of [\d,]+ parameters take [\d,]+ bytes"):
        snapshots.Recorder(tuple(range(200)), large)


def test_a_checkpoint_that_is_not_there_is_refused(folder: Path) -> None:
    found = snapshots.read(folder)
    for index in (-1, 4):
        with pytest.raises(InvalidParameterError, match=f"checkpoint {index} is not within 0 … 3"):
            found.model(index)


def _rewritten(folder: Path, target: Path, **notes: str) -> Path:
    """A copy of the folder whose history has other notes."""
    target.mkdir()
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    save_file(load_file(folder / snapshots.FILE), target / snapshots.FILE, {"format": snapshots.FORMAT, **notes})
    return target


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ({"format": "pt"}, "is not the history of a training"),
        ({}, "not a whole history"),
        ({"steps": "{"}, "not a whole history"),
        ({"steps": "[" * 100_000}, "not a whole history"),
        ({"steps": '{"0": 1}'}, "does not say of which steps"),
        ({"steps": "[]"}, "does not say of which steps"),
        ({"steps": "[0, 1, 1, 9]"}, "does not say of which steps"),
        ({"steps": "[1, 2, 3, 4]"}, "does not say of which steps"),
        ({"steps": "[0, 1.5, 2, 3]"}, "does not say of which steps"),
        ({"steps": "[0, true, 2, 3]"}, "does not say of which steps"),
        ({"steps": json.dumps(list(range(300)))}, "does not say of which steps"),
        ({"steps": "[0, 4]"}, "holds 4 checkpoints of 2 steps"),
    ],
)
def test_notes_that_cannot_be_are_refused(folder: Path, tmp_path: Path, notes: dict[str, str], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        snapshots.read(_rewritten(folder, tmp_path / "other", **notes))


def test_a_broken_file_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    target = _rewritten(folder, tmp_path / "other", steps="[0, 1, 4, 9]")
    whole = (target / snapshots.FILE).read_bytes()
    with pytest.raises(ModelError, match="more than 100 allowed"):
        snapshots.read(target, max_bytes=100)
    (target / snapshots.FILE).write_bytes(whole[:-10])
    with pytest.raises(ModelError, match="not a whole history"):
        snapshots.read(target)
    (target / snapshots.FILE).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        snapshots.read(target)


def test_weights_of_different_lengths_or_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / snapshots.FILE)
    target = _rewritten(folder, tmp_path / "other", steps="[0, 1, 4, 9]")
    notes = {"format": snapshots.FORMAT, "steps": "[0, 1, 4, 9]"}
    save_file({**weights, "more": torch.zeros(3)}, target / snapshots.FILE, notes)
    with pytest.raises(ModelError, match="does not say of which steps"):
        snapshots.read(target)
    save_file({**weights, "more": torch.zeros(4)}, target / snapshots.FILE, notes)
    with pytest.raises(ModelError, match="unknown to the model"):
        snapshots.read(target).model(0)
