"""Models as folders: written and read back, float16 and all; what is no such folder is refused in a sentence."""

import json
from pathlib import Path

import pytest
import torch

import attnviz
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models import folders
from attnviz.training import command
from attnviz.training.loop import Training, preset

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 1, "batch": 4, "steps": 6, "warmup": 2, "eval_every": 3}


@pytest.fixture(scope="module", params=["induction", "dates"])
def folder(request, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("models") / request.param
    config = preset(request.param, "small", **TINY)
    command.run(config, None, place, title="Mine", resume=False, command=["train", request.param])
    return place


def test_a_trained_model_is_a_folder_that_load_takes(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "training.json",
        "README.md",
    }
    model = attnviz.load(str(folder))
    assert model.info.title == "Mine" and model.info.trained
    assert sum(p.numel() for p in model.transformer.parameters()) == model.info.n_parameters
    target = "2026-11-21" if model.info.family == "Encoder-decoder" else None
    assert model.run("1 May 1999", target).logits is not None


def test_the_weights_are_those_of_the_training_rounded_once(folder: Path) -> None:
    log = json.loads((folder / "training.json").read_text())
    again = Training(preset(folder.name, "small", **TINY))
    for _ in again.steps():
        pass
    loaded = attnviz.load(str(folder)).transformer.state_dict()
    assert all(torch.equal(x.half().float(), loaded[name]) for name, x in again.model.state_dict().items())
    assert log["command"] == f"python -m attnviz train {folder.name}"
    assert log["steps"] == 6 and log["seconds"] > 0


def test_the_metrics_are_those_of_the_stored_weights(folder: Path) -> None:
    log = json.loads((folder / "training.json").read_text())
    run = Training(preset(folder.name, "small", **TINY))
    with torch.inference_mode():
        found = run.task.evaluate(attnviz.load(str(folder)).transformer, "test")
    assert log["metrics"] == pytest.approx(found, rel=1e-5)
    card = (folder / "README.md").read_text()
    assert all(name in card for name in found) and log["command"] in card


def test_the_log_holds_the_curve_and_every_evaluation(folder: Path) -> None:
    log = json.loads((folder / "training.json").read_text())
    assert [point[0] for point in log["curve"]] == [1, 2, 3, 4, 5, 6]
    assert [evaluation["step"] for evaluation in log["evaluations"]] == [3, 6]


def test_an_interrupted_training_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, step = preset("induction", "small", **TINY), Training._step

    def interrupted(self: Training):
        if self.done == 5:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Training, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.run(config, None, tmp_path / "cut", title=None, resume=False, command=[])
    monkeypatch.setattr(Training, "_step", step)
    command.run(config, None, tmp_path / "cut", title=None, resume=True, command=[])
    command.run(config, None, tmp_path / "whole", title=None, resume=False, command=[])
    cut, whole = (attnviz.load(str(tmp_path / name)).transformer.state_dict() for name in ("cut", "whole"))
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
    log = json.loads((tmp_path / "cut" / "training.json").read_text())
    assert [point[0] for point in log["curve"]] == [1, 2, 3, 4, 5, 6]
    assert not list(tmp_path.glob("*/checkpoint*"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", "{", "not JSON"),
        ("config.json", '{"format": "attnviz 1", "d_model": 30, "n_heads": 4}', "30"),
        ("config.json", '{"format": "attnviz 1", "speed": 3}', "speed"),
        ("config.json", '{"format": "attnviz 1", "n_layers": 100000}', "100000"),
        ("tokenizer.json", "{}", "tokenizer"),
        ("model.safetensors", "no weights", "safetensors"),
    ],
)
def test_a_broken_folder_is_refused_in_a_sentence(tmp_path: Path, name: str, content: str, words: str) -> None:
    run = Training(preset("induction", "small", **TINY))
    folders.write(tmp_path, run.model, run.task.tokenizer, title="Mine", training={}, card="")
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=words):
        attnviz.models.folders.read(tmp_path)


@pytest.mark.parametrize(
    ("pair", "found"),
    [
        ("d_model=64", ("d_model", 64)),
        ("learning_rate=1e-3", ("learning_rate", 0.001)),
        ("schedule=cosine", ("schedule", "cosine")),
    ],
)
def test_a_setting_of_the_command_line(pair: str, found: tuple) -> None:
    assert command.setting(pair) == found


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="name=value"):
        command.setting("d_model")
