"""A model's parts: they are its parameters, all of them, each once, with their real shapes."""

from __future__ import annotations

from collections import Counter

import pytest

from attnviz import Transformer, catalogue, load, preset
from attnviz.models import catalogue as models
from attnviz.models.anatomy import Anatomy, Part, anatomy
from attnviz.nn.config import ModelConfig
from tests.support.hf_architectures import ALL_REACHED, pair

CATALOGUE = {info.name: info for info in catalogue()}


def parts(found: Anatomy) -> list[tuple[int, Part]]:
    return [(block.times, part) for column in found.columns for block in column.blocks for part in block.parts]


def shapes(model: Transformer) -> Counter[tuple[int, ...]]:
    return Counter(tuple(p.shape) for p in model.parameters())


def check(found: Anatomy, model: Transformer) -> None:
    """Every parameter stands in one part, in its shape, as often as there are layers of it."""
    assert found.n == sum(p.numel() for p in model.parameters()) == model.config.n_parameters
    mine: Counter[tuple[int, ...]] = Counter()
    for times, part in parts(found):
        for x in part.weights:
            mine[x.shape] += times
    assert mine == shapes(model)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_the_catalogues_models_are_the_sum_of_their_parts(name: str) -> None:
    skeleton = models.skeleton(CATALOGUE[name])
    if skeleton is None:  # its shape is in its weights
        skeleton = load(name).transformer
    else:
        assert all(p.is_meta for p in skeleton.parameters())
    found = anatomy(skeleton)
    check(found, skeleton)
    assert found.n == CATALOGUE[name].n_parameters
    assert found.depths[-1] == CATALOGUE[name].n_layers
    assert all(part.kind != "other" or not part.n for _, part in parts(found))


@pytest.mark.parametrize("name", ["minilm", "dates", "digits", "induction", "scratch:test"])
def test_a_skeleton_is_the_loaded_model(name: str) -> None:
    model = load(name)
    check(anatomy(model.transformer), model.transformer)
    skeleton = models.skeleton(CATALOGUE[name])
    assert skeleton is not None and anatomy(skeleton) == anatomy(model.transformer)


@pytest.mark.parametrize(
    "config",
    [
        preset("bert", vocab_size=99, tied=False),
        preset("base", vocab_size=99, n_layers=2, norm_first=True, final_norm=True),
        preset("gpt", vocab_size=99, d_ff=0, bias=False),
        preset("tiny", head="classification", n_classes=3),
        ModelConfig.for_images(8, 2, 3, distilled=True, head="distillation", n_classes=4),
    ],
)
def test_every_choice_of_a_config(config: ModelConfig) -> None:
    model = Transformer(config)
    check(anatomy(model), model)


@pytest.mark.parametrize("name", ALL_REACHED)
def test_models_of_the_other_library(name: str) -> None:
    model = pair(name)[0]
    found = anatomy(model)
    check(found, model)
    assert all(
        "norm" in part.title.lower() or part.title.startswith("ln") for _, part in parts(found) if part.kind == "norm"
    )
    attentive = [times for times, part in parts(found) if part.kind == "attention"]
    assert sum(attentive) >= (1 if "Albert" in name else model.config.n_layers)


def test_residual_connections_go_past_what_they_add_to() -> None:
    """Post-norm: past attention alone; pre-norm: past its norm too."""
    after = anatomy(Transformer(preset("tiny"))).columns[0].blocks[1]
    before = anatomy(Transformer(preset("tiny", norm_first=True))).columns[0].blocks[1]
    names = [[part.title for part in block.parts] for block in (after, before)]
    assert names == [
        ["Self-attention", "LayerNorm", "Feed-forward", "LayerNorm"],
        ["LayerNorm", "Self-attention", "LayerNorm", "Feed-forward"],
    ]
    assert (after.around, before.around) == (((0, 0), (2, 2)), ((0, 1), (2, 3)))
    assert (after.times, after.title) == (2, "Layers 0 to 1")


def test_an_encoder_decoder_has_two_columns_and_one_embedding() -> None:
    first, second = anatomy(Transformer(preset("base", vocab_size=50, n_layers=1))).columns
    assert (first.title, second.title) == ("Encoder", "Decoder")
    assert first.blocks[0].n == 50 * 512 and second.blocks[0].n == 0
    assert [part.kind for part in second.blocks[1].parts] == [
        "attention",
        "norm",
        "cross",
        "norm",
        "feed-forward",
        "norm",
    ]
    assert first.blocks[1].parts[0].gives == ("S", 512) and second.blocks[1].parts[0].gives == ("T", 512)
    assert second.blocks[2].parts[-1].gives == ("T", 50) and second.blocks[2].n == 50  # the bias; the matrix is tied


@pytest.mark.parametrize(("distilled", "patches"), [(False, "(T − 1)"), (True, "(T − 2)")])
def test_patches_are_fewer_than_the_tokens_that_the_layers_read(distilled: bool, patches: str) -> None:
    config = ModelConfig.for_images(8, 2, 3, distilled=distilled, d_model=8, n_heads=2, n_layers=1, d_ff=8)
    first = anatomy(Transformer(config)).columns[0].blocks[0].parts
    assert [part.gives for part in first] == [(patches, 8), ("T", 8), ("T", 8)]
