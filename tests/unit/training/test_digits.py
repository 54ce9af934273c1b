"""Digits: the data and their splits, a training on images from start to folder, the model that comes with the app."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import attnviz
from attnviz import Transformer
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.inputs.assets import ASSETS
from attnviz.models import folders
from attnviz.training import command
from attnviz.training.loop import Training, preset, train
from attnviz.training.tasks import Digits
from attnviz.training.tasks.digits import shifted, splits

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 1, "batch": 4, "steps": 6, "warmup": 2, "eval_every": 3}
FOLDER = ASSETS / "models" / "digits"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A little training, as the command line leaves it."""
    place = tmp_path_factory.mktemp("models") / "mine"
    config = preset("digits", "small", **TINY)
    command.run(config, None, place, title="Mine", resume=False, command=["train", "digits"])
    return place


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- the data ------------------------------------------------------------------------------------


def test_every_image_is_in_one_split() -> None:
    from sklearn.datasets import load_digits

    data = load_digits()
    parts = splits()
    assert {name: len(labels) for name, (_, labels) in parts.items()} == {"val": 180, "test": 359, "train": 1258}
    ours = torch.cat([images.flatten(1) for images, _ in parts.values()])
    labels = torch.cat([labels for _, labels in parts.values()])
    found = sorted((*row, label) for row, label in zip(((ours + 1) * 8).tolist(), labels.tolist(), strict=True))
    assert found == sorted((*row, label) for row, label in zip(data.data.tolist(), data.target.tolist(), strict=True))
    for _, part in parts.values():
        assert len(part.unique()) == 10
    assert len({tuple(row) for row in ours.tolist()}) == 1797  # no image twice, so none in two splits


def test_a_batch_comes_from_the_training_split_and_a_seed_decides_it() -> None:
    task = Digits()
    batch, again, other = (task.batch(40, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(batch.ids, again.ids) and not torch.equal(batch.ids, other.ids)
    assert batch.ids.shape == (40, 1, 8, 8) and batch.labels.shape == (40,)
    assert batch.n_tokens == 40 * 17
    known = {}
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            n = len(task.splits["train"][0])
            moved = shifted(task.splits["train"][0], torch.full((n,), down), torch.full((n,), right))
            known |= dict(zip(map(_bytes, moved), task.splits["train"][1].tolist(), strict=True))
    assert [known[_bytes(image)] for image in batch.ids] == batch.labels.tolist()


def _bytes(image: torch.Tensor) -> bytes:
    return image.numpy().tobytes()


@given(st.integers(-1, 1), st.integers(-1, 1), st.integers(0, 7), st.integers(0, 7))
@settings(max_examples=40)
def test_a_moved_image_is_moved(down: int, right: int, row: int, column: int) -> None:
    image = torch.full((2, 1, 8, 8), -1.0)
    image[0, 0, row, column] = 1.0
    moved = shifted(image, torch.tensor([down, 0]), torch.tensor([right, 0]))
    lit = moved[0, 0].nonzero().tolist() if moved[0].max() < 0 else (moved[0, 0] == 1).nonzero().tolist()
    inside = 0 <= row + down < 8 and 0 <= column + right < 8
    assert (moved[0] == 1).sum() == inside and (not inside or lit == [[row + down, column + right]])
    assert torch.equal(moved[1], image[1])


def test_a_drawing_is_averaged_into_what_the_data_hold() -> None:
    """The data count the covered pixels of each square of 4 × 4; so does the box filter."""
    counts = splits()["test"][0][0, 0].add(1).mul(8)  # 0 … 16
    drawing = np.zeros((32, 32), dtype=np.uint8)
    for row in range(8):
        for column in range(8):
            square = np.zeros(16, dtype=np.uint8)
            square[: int(counts[row, column])] = 255
            drawing[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = square.reshape(4, 4)
    found = Digits().preprocessor.pixels(Image.fromarray(drawing))[0, 0]
    assert float((found - (counts / 8 - 1)).abs().max()) < 1 / 127  # a step of 8 bits


# ---- a training ----------------------------------------------------------------------------------


def test_the_model_is_one_of_images() -> None:
    run = Training(preset("digits", "small", **TINY))
    config = run.model.config
    assert (config.image_size, config.patch_size, config.channels, config.max_len) == (8, 2, 1, 17)
    assert (config.head, config.n_classes, config.vocab_size) == ("classification", 10, 0)
    assert run.probe().tokens[:2] == ["[CLS]", "0,0"]


def test_it_learns() -> None:
    steps = list(train(preset("digits", "small", steps=150, batch=64, eval_every=150, warmup=10)))
    assert steps[-1].metrics is not None and steps[-1].probe is not None
    assert steps[0].loss == pytest.approx(np.log(10), abs=0.3)
    assert steps[-1].metrics["accuracy"] > 0.5
    assert set(steps[-1].metrics) == {"loss", "accuracy"}


def test_resumed_is_bit_for_bit_uninterrupted(tmp_path: Path) -> None:
    config = preset("digits", "small", **TINY)
    whole, first = Training(config), Training(config)
    expected = [step.loss for step in whole.steps()]
    steps = first.steps()
    losses = [next(steps).loss for _ in range(4)]
    first.save(tmp_path / "checkpoint.safetensors")
    second = Training.resume(tmp_path / "checkpoint.safetensors")
    assert losses + [step.loss for step in second.steps()] == expected
    other = second.model.state_dict()
    assert all(torch.equal(x, other[name]) for name, x in whole.model.state_dict().items())


def test_a_checkpoint_of_another_task_is_refused(tmp_path: Path) -> None:
    from attnviz.training import checkpoints

    run = Training(preset("digits", "small", **TINY))
    run.save(tmp_path / "checkpoint.safetensors")
    about, _ = checkpoints.load(tmp_path / "checkpoint.safetensors")
    letters = replace(run.config, task="copy", length=26)
    checkpoints.save(
        tmp_path / "odd.safetensors",
        run.model,
        run.optimizer,
        about | {"config": vars(letters), "data": Training(letters).task.fingerprint},
    )
    with pytest.raises(ModelError, match="another architecture"):
        Training.resume(tmp_path / "odd.safetensors")


# ---- a folder ------------------------------------------------------------------------------------


def test_a_trained_model_is_a_folder_without_tokenizer(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "model.safetensors",
        "config.json",
        "preprocessor_config.json",
        "training.json",
        "README.md",
    }
    model = attnviz.load(str(folder))
    assert (model.info.title, model.info.family, model.info.trained) == ("Mine", "Vision", True)
    assert model.info.n_parameters == sum(p.numel() for p in model.transformer.parameters())
    assert model.classes == tuple("0123456789")
    assert model.preprocessor == Digits().preprocessor


def test_a_model_of_images_runs_on_images_only(folder: Path) -> None:
    model = attnviz.load(str(folder))
    images = splits()["test"][0][:2]
    trace = model.run(images)
    assert trace.title == "Mine" and trace.logits is not None and trace.logits.shape == (2, 10)
    one = model.run(images[0], intervention=attnviz.Intervention(temperature=0.5))
    assert one.intervention is not None and one.tokens[0] == "[CLS]"
    for call in (lambda: model.run("seven"), lambda: model.run(["seven"]), lambda: model.run(images[0] * 8 + 8)):
        with pytest.raises(InvalidParameterError):
            call()
    with pytest.raises(InvalidParameterError, match="no use for a target"):
        model.run(images, "seven")
    for call in (lambda: model.tokenizer, lambda: model.encode("seven")):
        with pytest.raises(InvalidParameterError, match="Mine reads images"):
            call()


def test_a_model_of_text_refuses_an_image() -> None:
    with pytest.raises(InvalidParameterError, match="text is one str"):
        attnviz.load("minilm").run(Image.new("L", (8, 8)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("preprocessor_config.json", "{", "not JSON"),
        ("preprocessor_config.json", '{"size": 16}', "8 × 8"),
        (
            "config.json",
            '{"format": "attnviz 1", "channels": 1, "image_size": 8, "patch_size": 3, "vocab_size": 0}',
            "=3",
        ),
        ("config.json", '{"format": "attnviz 1"}', "tokenizer"),
    ],
)
def test_a_broken_folder_is_refused_in_a_sentence(folder: Path, tmp_path: Path, name, content, words) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=words):
        folders.read(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError):
        attnviz.load(str(tmp_path))


# ---- the model that comes with the app -----------------------------------------------------------


@pytest.fixture(scope="module")
def log() -> dict:
    return json.loads((FOLDER / "training.json").read_text())


def test_the_bundled_model_is_in_the_catalogue(log: dict) -> None:
    (info,) = [one for one in attnviz.catalogue() if one.name == "digits"]
    assert (info.family, info.max_len, info.trained) == ("Vision", 17, True)
    assert log["command"].startswith("python -m attnviz train digits ") and log["config"]["task"] == "digits"
    assert log["seconds"] > 0 and log["steps"] == log["config"]["steps"]


def test_the_bundled_model_has_the_accuracy_that_it_states(log: dict) -> None:
    model = attnviz.load("digits")
    with torch.inference_mode():
        found = Digits().evaluate(model.transformer, "test")
    assert found == pytest.approx(log["metrics"], rel=1e-4)
    assert found["accuracy"] >= 0.97
    assert f"| accuracy | {found['accuracy']:.4g} |" in (FOLDER / "README.md").read_text()


def test_the_bundled_model_names_a_drawing() -> None:
    """An image of the test split, as a person would upload it."""
    images, labels = splits()["test"]
    large = ((images[:50, 0] + 1) * 127.5).to(torch.uint8).repeat_interleave(20, 1).repeat_interleave(20, 2)
    model = attnviz.load("digits")
    logits = torch.cat([model.run(Image.fromarray(one.numpy())).logits for one in large])  # type: ignore[misc]
    assert float((logits.argmax(-1) == labels[:50]).float().mean()) >= 0.94


def test_a_trained_model_beats_an_untrained_one() -> None:
    model = attnviz.load("digits").transformer
    with torch.inference_mode():
        found = Digits().evaluate(Transformer(model.config, generator()).eval(), "test")
    assert found["accuracy"] < 0.3
