"""The formula on the page "All models": with a model's numbers in it, it gives what its tensors hold."""

from __future__ import annotations

import pytest

from attnviz import Transformer, catalogue, load, preset
from attnviz.models.anatomy import anatomy
from attnviz.models.catalogue import skeleton
from attnviz.models.hf_config import HFConfig
from attnviz.nn.config import ModelConfig
from attnviz.web.models import formula

CONFIGS = {
    "untied, without biases": preset("gpt", vocab_size=99, bias=False, tied=False),
    "attention only": preset("tiny", vocab_size=99, d_ff=0, positions="alibi"),
    "distilled": ModelConfig.for_images(8, 2, 3, distilled=True, head="distillation", n_classes=4),
    "rotary": preset("bert", vocab_size=50, positions="rope"),
}


def check(model: Transformer) -> None:
    """Each count is the number of parameters of the parts that it is named after."""
    first = anatomy(model).columns[0].blocks
    by_kind = {part.kind: part.n for part in first[1].parts}
    for one in formula.counts(model.config):
        if one.part == "embeddings":
            assert one.n == first[0].n  # the number in the diagram
        else:
            assert one.n == by_kind[{"LayerNorm": "norm"}.get(one.part, one.part)]
        numbers = one.filled.replace("{,}", "").replace("·", "*").replace("^", "**")
        assert eval(numbers, {"__builtins__": {}}) == one.n


@pytest.mark.parametrize("name", [info.name for info in catalogue()])
def test_of_the_catalogues_models(name: str) -> None:
    model = skeleton(next(info for info in catalogue() if info.name == name)) or load(name).transformer
    if isinstance(model.config, HFConfig):
        assert formula.formula(model.config) == formula.OTHERS
    else:
        check(model)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_of_other_configs(name: str) -> None:
    check(Transformer(CONFIGS[name]))


def test_the_papers_are_those_of_what_the_model_has() -> None:
    bert, gpt = formula.source(preset("bert", vocab_size=9)), formula.source(preset("gpt", vocab_size=9))
    base = formula.source(preset("base", vocab_size=9))
    assert "after each sublayer: Vaswani et al. 2017, section 3.1" in bert and "Devlin" in bert and "GELU" in bert
    assert "before each sublayer: Xiong et al. 2020" in gpt and "Devlin" not in gpt and "Gehring" in gpt
    assert "GELU" not in base and "Gehring" not in base and "section 3.5" in base
    assert "biases" not in formula.source(preset("gpt", vocab_size=9, bias=False))
    assert "Elhage" in formula.source(CONFIGS["attention only"])
