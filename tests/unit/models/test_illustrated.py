"""A text with an image in it: where the image stands, what its tokens are called, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import attnviz
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models.model import Model
from tests.support.zoo import folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "llava"
    with folders.quietly():
        folders.write("LlavaForConditionalGeneration", folder)
    return folder


@pytest.fixture(scope="module")
def llava(folder: Path) -> Model:
    return attnviz.load(str(folder))


def test_the_image_stands_before_the_text_or_where_its_token_is(llava: Model):
    before = llava.run("A cat", image=folders.image())
    labels = before.encodings[0].labels
    assert labels[1:17] == tuple(f"[image {i}]" for i in range(16)) and "cat" in "".join(labels[17:])
    within = llava.run("A <image> cat", image=folders.image()).encodings[0].labels
    first = within.index("[image 0]")
    assert "".join(within[1:first]).strip("\u2423 ") == "A" and within[first + 15] == "[image 15]"
    assert before.logits is not None and before.logits.shape[1] == len(labels)


def test_an_image_changes_what_the_text_attends_to(llava: Model):
    one = llava.run("A cat", image=folders.image(0))
    other = llava.run("A cat", image=folders.image(1))
    assert not torch.allclose(one.attentions[0], other.attentions[0])
    assert torch.equal(one.attentions[0], llava.run("A cat", image=folders.image(0)).attentions[0])


def test_files_and_pictures_are_the_same_image(llava: Model, tmp_path: Path):
    Image.fromarray(folders.image()).save(tmp_path / "x.png")
    expected = llava.run("A cat", image=folders.image()).final
    for given in (tmp_path / "x.png", str(tmp_path / "x.png"), (tmp_path / "x.png").read_bytes()):
        assert torch.equal(llava.run("A cat", image=given).final, expected)


@pytest.mark.parametrize(
    ("text", "image", "says"),
    [
        ("<image> and <image>", folders.image(), "names an image 2 times; one is read"),
        (["A cat", "A dog"], folders.image(), "an image goes with one text"),
        ("A cat " * 40, folders.image(), "tokens, more than the model's 64"),
        ("A cat", np.zeros((4, 4, 3), np.uint8), "4 × 4 pixels; it needs 8 × 8"),
        ("A cat", 5, "not a int"),
        ("A cat", b"no image", "no whole PNG or JPEG image"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(llava: Model, text: object, image: object, says: str):
    with pytest.raises(InvalidParameterError, match=says):
        llava.run(text, image=image)


def test_its_eyes_are_a_part_of_their_own(folder: Path):
    eyes = attnviz.load(f"{folder}#image")
    assert eyes.reads == "image" and eyes.run(folders.image()).tokens[:2] == ["[CLS]", "0,0"]
    with pytest.raises(ModelError, match="has no part #sound: it has image and text"):
        attnviz.load(f"{folder}#sound")
