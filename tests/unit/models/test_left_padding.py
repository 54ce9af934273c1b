"""Texts padded before their beginning, as decoders' tokenizers pad: each as it is alone, and as transformers has it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedTokenizerFast

import attnviz
from attnviz import InvalidParameterError, Model
from tests.support.parity import close
from tests.support.zoo import folders

POSITIONS = {  # a class of each kind of positions
    "learned, in our own layers": "GPT2LMHeadModel",
    "learned, counted by the mask": "OPTForCausalLM",
    "rotary": "LlamaForCausalLM",
    "ALiBi": "BloomForCausalLM",
    "a bias by distance": "T5ForConditionalGeneration",
    "relative vectors": "XLNetLMHeadModel",
}
TARGETS = [folders.TARGET, "O"]


@pytest.fixture(scope="module", params=POSITIONS.values(), ids=POSITIONS.keys())
def both(request: Any, tmp_path_factory: Any) -> tuple[Model, Any]:
    """Ours, and transformers' own with the same weights."""
    folder = Path(tmp_path_factory.mktemp("left"), request.param)
    with folders.quietly():
        folders.write(request.param, folder)
        kind = getattr(transformers, request.param)
        theirs = kind.from_pretrained(folder, attn_implementation="eager", local_files_only=True).eval()
        return attnviz.load(folder), theirs


def padded(side: str, texts: tuple[str, ...] = folders.TEXTS) -> Any:
    library = PreTrainedTokenizerFast(tokenizer_file=None, tokenizer_object=_library(), pad_token="<pad>")
    return library(list(texts), padding=True, padding_side=side, return_tensors="pt", return_token_type_ids=False)


def _library() -> Any:
    import tokenizers

    return tokenizers.Tokenizer.from_str(folders.tokenizer())


def test_each_text_is_what_it_is_alone(both: tuple[Model, Any]) -> None:
    model, _ = both
    targets = TARGETS if model.transformer.config.kind == "encoder-decoder" else None
    given = padded("left")
    assert not given["attention_mask"][1, 0] and given["attention_mask"][0].all()
    batch, right = model.run(given, targets), model.run(padded("right"), targets)
    assert torch.equal(batch.final, right.final)
    for row, text in enumerate(folders.TEXTS):
        alone = model.run(text, targets and targets[row])
        assert batch.encodings[row].ids == alone.encodings[0].ids
        n = alone.final.shape[1]
        close(batch.final[row, :n], alone.final[0], 1e-5)
        assert batch.logits is not None and alone.logits is not None
        close(batch.logits[row, :n], alone.logits[0], 1e-5)
        for together, single in zip(batch.attentions, alone.attentions, strict=True):
            close(together[row, :, :n, :n], single[0], 1e-6)
            assert not together[row, :, :n, n:].any()


def test_transformers_own_numbers_of_the_padded_batch(both: tuple[Model, Any]) -> None:
    model, theirs = both
    given = padded("left")
    asked: dict[str, Any] = {**given, "output_attentions": True}
    takes = inspect.signature(theirs.forward).parameters
    if "position_ids" in takes:  # as its own generate counts
        asked["position_ids"] = (given["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    targets = None
    if model.transformer.config.kind == "encoder-decoder":
        targets = [folders.TARGET] * 2
        asked["decoder_input_ids"] = torch.tensor([model.run("a", folders.TARGET).encodings[0].ids] * 2)
    trace = model.run(given, targets)
    with torch.no_grad():
        out = theirs(**asked)
    read = trace if trace.source is None else trace.source
    attentions = out.attentions if trace.source is None else out.encoder_attentions
    assert trace.logits is not None and len(attentions) == len(read.attentions)
    for row, n in enumerate(read.lengths):
        for ours, weights in zip(read.attentions, attentions, strict=True):
            close(ours[row, :, :n, :n], weights[row, :, -n:, -n:], 1e-5)
        m = n if trace.source is None else trace.lengths[row]
        close(trace.logits[row, :m], out.logits[row, -m:], 1e-4)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"input_ids": [[5, 6, 7]], "attention_mask": [[1, 0, 1]]}, "of text 0 leaves out tokens between others"),
        ({"input_ids": [[5, 6], [7, 8]], "attention_mask": [[1, 1], [0, 0]]}, "leaves no token of text 1"),
        ({"input_ids": [[5, 6]], "attention_mask": [[1, 1, 1]]}, "attention_mask is not of the shape of input_ids"),
        ({"input_ids": [[5, 6]], "token_type_ids": [[1]]}, "token_type_ids is not of the shape of input_ids"),
        ({"input_ids": [[5.5]]}, "input_ids is whole numbers, one row for each text"),
        ({"attention_mask": [[1]]}, "input_ids is whole numbers, one row for each text, not None"),
        ({"input_ids": [[5]], "position_ids": [[3]]}, "token_type_ids are read, not 'position_ids'"),
    ],
)
def test_what_is_no_padding_is_refused(given: dict[str, Any], says: str) -> None:
    model = attnviz.load("scratch:tiny")
    with pytest.raises(InvalidParameterError, match=says):
        model.run(given)


def test_segments_come_along(tmp_path: Path) -> None:
    with folders.quietly():
        folders.write("BertModel", tmp_path)
    model = attnviz.load(tmp_path)
    ids, kinds = [[0, 1, 7, 2, 8, 2]], [[0, 0, 0, 0, 1, 1]]
    trace = model.run({"input_ids": ids, "attention_mask": [[0, 1, 1, 1, 1, 1]], "token_type_ids": kinds})
    assert trace.encodings[0].types == (0, 0, 0, 1, 1)
    plain = model.run([1, 7, 2, 8, 2])
    assert (trace.final - plain.final).abs().max() > 1e-4
