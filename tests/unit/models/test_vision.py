"""A transformer of images: patches, special tokens, sizes, gradients, and that every view of a trace takes it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import Intervention, ModelConfig, Trace, Transformer
from attnviz.analysis import measures
from attnviz.browser import report
from attnviz.browser.attention_message import pack
from attnviz.errors import DTypeError, InvalidParameterError, ShapeError
from attnviz.nn.config import MAX_PATCHES
from attnviz.nn.embeddings import patch_names
from tests.support.node import run_node
from tests.support.parity import close, scramble

SIZES = {"d_model": 8, "n_heads": 2, "d_ff": 12, "norm_first": True, "final_norm": True}


def vision(side: int = 8, patch: int = 2, channels: int = 1, **changes) -> Transformer:
    """A vision transformer with random numbers everywhere."""
    model = Transformer(ModelConfig.for_images(side, patch, channels, **(SIZES | changes)))
    scramble(model, 0.3)
    return model.eval().requires_grad_(False)


@pytest.fixture
def trace() -> Trace:
    torch.manual_seed(0)
    return replace(vision(head="classification", n_classes=3)(torch.randn(1, 1, 8, 8)), title="Digits")


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_first_vectors_are_those_of_the_paper(n: int, patch: int, channels: int, distilled: bool) -> None:
    """Equation 1: each patch, flattened, times one matrix; the special tokens before them; a position on each."""
    side = n * patch
    model = vision(side, patch, channels, distilled=distilled)
    pixels = torch.randn(2, channels, side, side)
    weight, bias = model.embed["patches"].weight, model.embed["patches"].bias
    positions, special = model.embed["positions"].weight, model.embed["special"].weight
    expected = torch.empty(2, n * n + len(special), 8)
    expected[:, : len(special)] = special
    for row in range(n):
        for column in range(n):
            cut = pixels[:, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            expected[:, len(special) + row * n + column] = cut.flatten(1) @ weight.flatten(1).T + bias
    close(model(pixels).layers[0].resid_pre, expected + positions)


@pytest.mark.parametrize(
    ("distilled", "head"),
    [(False, None), (False, "classification"), (True, None), (True, "classification"), (True, "distillation")],
)
@pytest.mark.parametrize(("side", "patch", "channels"), [(8, 2, 1), (12, 4, 3), (4, 4, 2)])
def test_sizes_are_exact(side: int, patch: int, channels: int, distilled: bool, head: str | None) -> None:
    model = vision(side, patch, channels, distilled=distilled, head=head, n_classes=5 if head else 0)
    config, n = model.config, (side // patch) ** 2 + 1 + distilled
    assert config.n_parameters == sum(p.numel() for p in model.parameters())
    assert ModelConfig.from_json(config.to_json()) == config
    found = model(torch.randn(3, channels, side, side))
    assert found.final.shape == (3, n, 8) and found.lengths == (n, n, n)
    assert found.attentions[1].shape == (3, 2, n, n)
    assert (found.logits is None) == (head is None)
    assert found.logits is None or found.logits.shape == (3, 5)


def test_a_classifier_reads_the_class_token_alone(trace: Trace) -> None:
    model = vision(head="classification", n_classes=3)
    found = model(torch.randn(2, 1, 8, 8))
    assert model.head is not None and found.logits is not None
    close(found.logits, model.head["out"](found.final[:, 0]))


def test_tokens_are_named_by_row_and_column(trace: Trace) -> None:
    names = ["[CLS]", *(f"{row},{column}" for row in range(4) for column in range(4))]
    assert trace.tokens == names
    encoding = trace.encodings[0]
    assert list(encoding.labels) == names and len(encoding) == 17
    assert encoding.special == (True, *[False] * 16) and encoding.words == (None, *range(16))
    assert list(encoding.word_texts) == names[1:]
    assert [encoding.text[start:end] for start, end in encoding.offsets[1:]] == names[1:]
    assert not any(encoding.continues)


def test_a_distilled_model_has_a_second_special_token() -> None:
    encoding = patch_names(ModelConfig.for_images(4, 2, 3, distilled=True, **SIZES))
    assert encoding.tokens == ("[CLS]", "[DIST]", "0,0", "0,1", "1,0", "1,1")
    assert encoding.special == (True, True, False, False, False, False)


def test_a_batch_gives_what_its_images_give_alone() -> None:
    model, pixels = vision(), torch.randn(3, 1, 8, 8)
    together = model(pixels)
    for i in range(3):
        alone = model(pixels[i : i + 1])
        close(together.final[i], alone.final[0])
        close(together.attentions[0][i], alone.attentions[0][0])
    assert together.tokens == [alone.tokens] * 3


def test_gradients_reach_pixels_and_weights_as_finite_differences_say() -> None:
    model = vision(4, 2, 1, head="classification", n_classes=3).double().requires_grad_(True)
    pixels = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)

    def scores(x: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        logits = model(x).logits
        assert logits is not None
        return logits

    named = [model.embed["patches"].weight, model.embed["special"].weight, model.embed["positions"].weight]
    assert torch.autograd.gradcheck(scores, (pixels, *named))


@pytest.mark.parametrize("scheme", ["none", "sinusoidal", "rope", "alibi"])
def test_other_positions_and_interventions_act_on_images_too(scheme: str) -> None:
    model, pixels = vision(), torch.randn(1, 1, 8, 8)
    plain = model(pixels)
    changed = model(pixels, intervention=Intervention(positions=scheme))
    assert not torch.allclose(plain.final, changed.final)
    assert changed.encodings == plain.encodings
    own = vision(positions=scheme)
    assert own.config.n_parameters == sum(p.numel() for p in own.parameters())
    cold = model(pixels, intervention=Intervention(temperature=1e-3))
    assert float(cold.attentions[0].amax(-1).min()) > float(plain.attentions[0].amax(-1).min())


def test_without_positions_patches_may_change_places() -> None:
    model, pixels = vision(positions="none"), torch.randn(1, 1, 8, 8)
    turned = pixels.reshape(1, 1, 4, 2, 8).flip(2).reshape(1, 1, 8, 8)  # the rows of patches, the last one first
    a, b = model(pixels).final[0], model(turned).final[0]
    close(a[0], b[0])
    close(a[1:].reshape(4, 4, 8).flip(0), b[1:].reshape(4, 4, 8))


# ---- views ----------------------------------------------------------------------------------------


def test_the_browser_gets_an_image_like_a_text(trace: Trace) -> None:
    read = run_node("const m = unpack.unpack(message); give([m.T, m.tokens.map(t => t.label), m.words])", pack(trace))
    assert read == [17, trace.tokens, trace.tokens[1:]]


def test_reports_and_measures_take_an_image(trace: Trace) -> None:
    page = report.html(trace)
    assert "17 tokens" in page and "Digits" in page
    links = measures.strongest_links(trace, 5)
    assert len(links) == 5 and all("," in link.query_label and "," in link.key_label for link in links)
    assert len(report.npz(trace)) > 1000
    assert trace.nbytes > 0 and "17 tokens" in repr(trace)


# ---- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "error", "words"),
    [
        (torch.zeros(1, 1, 8, 7), ShapeError, ["(B, 1, 8, 8)", "(1, 1, 8, 7)"]),
        (torch.zeros(1, 3, 8, 8), ShapeError, ["(1, 3, 8, 8)"]),
        (torch.zeros(1, 8, 8), ShapeError, ["(1, 8, 8)"]),
        (torch.zeros(0, 1, 8, 8), ShapeError, ["(0, 1, 8, 8)"]),
        (torch.zeros(1, 1, 16, 16), ShapeError, ["(1, 1, 16, 16)"]),
        (torch.tensor(1.0), ShapeError, ["()"]),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), DTypeError, ["uint8", "float32"]),
        (torch.zeros(1, 1, 8, 8, dtype=torch.int64), DTypeError, ["int64", "float32"]),
        (torch.zeros(1, 1, 8, 8, dtype=torch.float64), DTypeError, ["float64", "float32"]),
        (np.zeros((1, 1, 8, 8)), DTypeError, ["ndarray"]),
        ("a text", DTypeError, ["str"]),
        (torch.full((1, 1, 8, 8), math.nan), InvalidParameterError, ["64 of 64", "NaN"]),
        (torch.zeros(1, 1, 8, 8).index_fill(3, torch.tensor([2]), math.inf), InvalidParameterError, ["8 of 64"]),
    ],
)
def test_what_is_no_image_of_the_model_is_refused_with_the_numbers(pixels, error, words) -> None:
    with pytest.raises(error) as caught:
        vision()(pixels)
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"lengths": [18]}, {"lengths": [17, 17]}, {"lengths": 17}])
def test_lengths_that_do_not_fit_are_refused(options) -> None:
    with pytest.raises(ShapeError, match="lengths"):
        vision()(torch.zeros(1, 1, 8, 8), **options)


def test_images_have_neither_target_nor_segments() -> None:
    pixels = torch.zeros(1, 1, 8, 8)
    with pytest.raises(InvalidParameterError, match="no use for a target"):
        vision()(pixels, pixels)
    with pytest.raises(ShapeError, match="types"):
        vision()(pixels, types=torch.zeros(1, 17, dtype=torch.int64))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patch_size": 3}, ["image_size=8", "patch_size=3"]),
        ({"patch_size": 0}, ["patch_size=0"]),
        ({"patch_size": 16}, ["image_size=8", "patch_size=16"]),
        ({"image_size": 8.0}, ["8.0"]),
        ({"image_size": [8, 8]}, ["[8, 8]"]),
        ({"image_size": True}, ["True"]),
        ({"channels": -1}, ["channels=-1"]),
        ({"channels": 0}, ["channels=0"]),
        ({"channels": None}, ["None"]),
        ({"image_size": 10**6, "patch_size": 1}, ["1,000,000,000,000", f"{MAX_PATCHES:,}"]),
        ({"channels": 10**9}, ["parameters"]),
        ({"kind": "decoder"}, ["'decoder'"]),
        ({"kind": "encoder-decoder"}, ["'encoder-decoder'"]),
        ({"head": "lm"}, ["'lm'"]),
        ({"n_types": 2}, ["n_types=2"]),
        ({"head": "classification", "n_classes": 1}, ["n_classes=1"]),
        ({"head": "distillation", "n_classes": 3}, ["distilled"]),
        ({"distilled": 1}, ["distilled"]),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_with_the_numbers(changes, words) -> None:
    given = {"image_size": 8, "patch_size": 2, "channels": 1, **SIZES} | changes
    with pytest.raises(InvalidParameterError) as caught:
        ModelConfig.for_images(**given)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"vocab_size": 0}, ["vocab_size=0"]),
        ({"image_size": 8}, ["channels"]),
        ({"distilled": True}, ["channels"]),
        ({"channels": 1, "image_size": 8, "patch_size": 2, "max_len": 17}, ["vocab_size=256"]),
        ({"channels": 1, "image_size": 8, "patch_size": 2, "vocab_size": 0}, ["max_len=512", "17"]),
    ],
)
def test_text_and_images_are_not_mixed(given, words) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        ModelConfig(**given)
    assert all(word in str(caught.value) for word in words)


def test_a_pyramid_of_patches_is_refused_for_what_it_is():
    from attnviz.errors import ModelError
    from attnviz.models.hf_model import HFModel
    from tests.support.zoo import folders

    with pytest.raises(
        ModelError, match=r"swinv2 merges its patches from stage to stage \(3, 6 heads\), and attends inside windows"
    ):
        HFModel(folders.random_model("Swinv2ForImageClassification"))
