"""Loaded models are copied and pickled: the copy is a model of its own that computes the same."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

import attnviz
from attnviz.errors import ModelError
from attnviz.models.model import Model
from tests.support.zoo import folders

ROOT = Path(__file__).parents[3]
TEXT = "A cat sat."
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}
# run by our layers; by transformers with our attention; with its own, which is watched
NAMES = ("BertModel", "LlamaForCausalLM", "DebertaV2ForMaskedLM", "BloomForCausalLM", "BartForConditionalGeneration")


def loaded(name: str, place: Path) -> Model:
    """A tiny random model, from its folder."""
    with folders.quietly():
        folders.write(name, place / name)
        return attnviz.load(str(place / name))


def numbers(model: Model) -> list[Tensor]:
    """What it computes of a text."""
    both = model.transformer.config.kind == "encoder-decoder"
    trace = (
        model.run(TEXT, target="A cat.")
        if both
        else model.run(TEXT, intervention=attnviz.Intervention(temperature=2.0))
    )
    return [trace.final, *trace.attentions, *trace.hidden_states, *([] if trace.logits is None else [trace.logits])]


def assert_same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    """Equal but for how a kernel sums where memory begins elsewhere."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("copies")


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, place: Path) -> Model:
    return loaded(request.param, place)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_computes_the_same(model: Model, how: str) -> None:
    make: Callable[[Model], Model] = COPIES[how]
    before = numbers(model)
    twin = make(model)
    assert (twin.info, twin.transformer.config) == (model.info, model.transformer.config)
    weights, copied = model.transformer.state_dict(), twin.transformer.state_dict()
    assert weights.keys() == copied.keys() and all(torch.equal(weights[name], copied[name]) for name in weights)
    assert_same(before, numbers(twin))
    with torch.no_grad():
        for weight in twin.transformer.parameters():
            weight.zero_()
    assert_same(before, numbers(model))  # which shares nothing with it


def test_a_copy_of_a_copy_and_hooks_of_ones_own(place: Path) -> None:
    model = loaded("Qwen2ForCausalLM", place)
    twin = copy.deepcopy(copy.deepcopy(model))
    layer = twin.transformer.get_submodule("inner.model.layers.0")
    ours = {name: len(part._forward_hooks) for name, part in model.transformer.named_modules()}
    numbers(model), numbers(twin)
    theirs = {name: len(part._forward_hooks) for name, part in twin.transformer.named_modules()}
    assert theirs == {name: len(part._forward_hooks) for name, part in model.transformer.named_modules()} == ours
    handle = layer.register_forward_hook(double)
    assert (copy.deepcopy(twin).run(TEXT).final != model.run(TEXT).final).any()
    handle.remove()
    assert_same(numbers(model), numbers(copy.deepcopy(twin)))


def double(module: torch.nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """A hook that somebody has put on a layer."""
    return 2 * output


@pytest.mark.nightly  # its process imports transformers
def test_a_pickle_opens_in_a_process_that_has_loaded_no_model(place: Path) -> None:
    model = loaded("GemmaForCausalLM", place)
    file = place / "pickled"
    file.write_bytes(pickle.dumps((model, model.run(TEXT).final)))
    script = f"""
import pickle, torch
torch.set_num_threads(1)
model, final = pickle.load(open({str(file)!r}, "rb"))
print(float((model.run({TEXT!r}).final - final).abs().max()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert float(done.stdout) <= 1e-6


def test_what_torch_does_not_pickle_is_said(place: Path) -> None:
    model = loaded("Wav2Vec2ForCTC", place)
    with pytest.raises(ModelError, match="wav2vec2 computes a weight from others"):
        pickle.dumps(model)
    assert copy.deepcopy(model).info == model.info
