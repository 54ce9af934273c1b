"""Two texts in one run, with their segments, and texts given as ids: as transformers reads and computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import attnviz
from attnviz import InvalidParameterError, Model
from attnviz.inputs.tokenizers import Tokenizer
from tests.support.hf_architectures import DECODER
from tests.support.parity import close

FIRST, SECOND = "the cat", "the mat sat on the cat"
SIZES = DECODER | {"vocab_size": 300, "num_hidden_layers": 1, "max_position_embeddings": 24}


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Tokenizer, Path, Path]:
    """A tokenizer with a template for pairs, and two folders: one for our own layers, one for transformers'."""
    import transformers
    from tokenizers import processors

    tokenizer = Tokenizer.train_bpe(["the cat sat on the mat " * 20], 300)
    ids = [(name, tokenizer.library.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=ids
    )
    root = tmp_path_factory.mktemp("pairs")
    for name in ("Bert", "Electra"):
        config = getattr(transformers, f"{name}Config")(**SIZES)
        torch.manual_seed(0)
        kind = getattr(transformers, f"{name}Model")
        kind._from_config(config, attn_implementation="eager").save_pretrained(root / name)
        tokenizer.library.save(str(root / name / "tokenizer.json"))
    return Tokenizer(tokenizer.library), root / "Bert", root / "Electra"


def theirs(folder: Path, **given: Any) -> torch.Tensor:
    import transformers

    model = getattr(transformers, f"{folder.name}Model").from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(**given).last_hidden_state


@pytest.mark.parametrize("name", ["Bert", "Electra"])
def test_a_pair_has_the_librarys_tokens_and_segments(name: str, both: tuple[Tokenizer, Path, Path]) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer, *folders = both
    folder = next(folder for folder in folders if folder.name == name)
    model = attnviz.load(str(folder))
    trace = model.run([FIRST, SECOND], pair=[SECOND, FIRST])
    library = PreTrainedTokenizerFast(tokenizer_object=tokenizer.library, pad_token="[PAD]")
    for row, (first, second) in enumerate(((FIRST, SECOND), (SECOND, FIRST))):
        given = library(first, second, return_tensors="pt", return_token_type_ids=True)
        encoding = trace.encodings[row]
        assert list(encoding.ids) == given["input_ids"][0].tolist()
        assert list(encoding.types) == given["token_type_ids"][0].tolist()
        close(trace.final[row, : len(encoding)], theirs(folder, **given)[0], 1e-5)
        assert encoding.text == f"{first}\n{second}"
        words = [
            encoding.text[i:j]
            for (i, j), special in zip(encoding.offsets, encoding.special, strict=True)
            if not special
        ]
        assert "".join(words) == (first + second).replace(" ", "")
    single = theirs(folder, input_ids=torch.tensor([trace.encodings[0].ids]))
    assert (single[0] - trace.final[0, : single.shape[1]]).abs().max() > 1e-4  # segments matter
    assert model.run(FIRST).encodings[0].types == ()


@pytest.mark.parametrize("longest", [8, 9, 10, 12, 15])
@pytest.mark.parametrize(("first", "second"), [(FIRST, SECOND), (SECOND, FIRST), (SECOND, SECOND)])
def test_the_longer_text_is_cut_first(first: str, second: str, longest: int, both: tuple) -> None:
    import tokenizers

    tokenizer = both[0]
    library = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    library.enable_truncation(longest, strategy="longest_first")
    encoding = tokenizer.encode_pair(first, second, longest)
    assert list(encoding.ids) == library.encode(first, second).ids
    isolated = Tokenizer.from_str(tokenizer.to_json(), isolated=True)  # a stranger's, in a process of its own
    assert longest != 8 or isolated.encode_pair(first, second, longest) == encoding
    library.no_truncation()
    assert encoding.cut == len(library.encode(first, second).ids) - len(encoding)


@pytest.mark.parametrize("name", ["Bert", "Electra"])
def test_ids_are_read_as_they_are(name: str, both: tuple[Tokenizer, Path, Path]) -> None:
    model: Model = attnviz.load(str(next(folder for folder in both[1:] if folder.name == name)))
    ids = list(model.encode(FIRST).ids)
    expected = model.run(FIRST)
    for given in (ids, tuple(ids), torch.tensor(ids), torch.tensor([ids]), [ids]):
        trace = model.run(given)
        assert torch.equal(trace.final, expected.final) and trace.tokens == expected.tokens
    batch = model.run([ids, ids[:3]])
    assert batch.lengths == (len(ids), 3)
    close(batch.final[1, :3], model.run(ids[:3]).final[0], 1e-5)
    for wrong in ([], [[]], [1.5], torch.tensor([1.5]), [ids, "text"]):
        with pytest.raises(InvalidParameterError, match="text is one str or a list of at least one"):
            model.run(wrong)
    for beyond in (300, -1, 2**31, 2**70):
        with pytest.raises(InvalidParameterError, match=r"^token ids? .* outside 0…299$"):
            model.run([5, beyond])
    with pytest.raises(InvalidParameterError, match="1 texts and 2 second texts"):
        model.run(FIRST, pair=[FIRST, SECOND])
