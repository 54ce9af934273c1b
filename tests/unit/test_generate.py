"""Greedy decoding: every token is the likeliest one after those before it, and it ends when it should."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import attnviz
from attnviz.errors import InvalidParameterError
from attnviz.generate import greedy
from attnviz.models import Model


@pytest.fixture(scope="module")
def gpt() -> Model:
    return attnviz.load("scratch:gpt")


@pytest.fixture(scope="module")
def translator() -> Model:
    """The original transformer's shape, small: its tokenizer begins an answer with [CLS] and ends it with [SEP]."""
    gpt = attnviz.load("scratch:gpt")
    config = attnviz.preset("base", d_model=32, n_heads=2, n_layers=1, d_ff=32, vocab_size=gpt.tokenizer.vocab_size)
    transformer = attnviz.Transformer(config, torch.Generator().manual_seed(3)).eval().requires_grad_(False)
    return replace(gpt, transformer=transformer)


def test_a_decoder_goes_on_with_the_likeliest_tokens(gpt: Model) -> None:
    """One run over prompt and answer: a causal model says at each place what it said when it stood at the end."""
    said = greedy(gpt, "The cat sat on", 6)
    assert 1 <= len(said.ids) <= 6 and said.text == gpt.tokenizer.decode(said.ids)
    prompt = list(gpt.encode("The cat sat on").ids[:-1])  # without [SEP], which would end it
    with torch.inference_mode():
        logits = gpt.transformer(torch.tensor([[*prompt, *said.ids]])).logits
    assert logits is not None
    assert logits[0, len(prompt) - 1 : -1].argmax(dim=-1).tolist() == list(said.ids)


def test_an_encoder_decoder_model_answers_with_the_likeliest_tokens(translator: Model) -> None:
    said = greedy(translator, "The cat sat on", 6)
    source, start = torch.tensor([translator.encode("The cat sat on").ids]), translator.tokenizer.bos_id
    with torch.inference_mode():
        logits = translator.transformer(source, torch.tensor([[start, *said.ids]])).logits
    assert logits is not None and len(said.ids) == 6 and not said.ended
    assert logits[0, :-1].argmax(dim=-1).tolist() == list(said.ids)


@pytest.mark.parametrize("end", [0, 2])
def test_it_ends_with_the_token_that_ends_texts(translator: Model, end: int) -> None:
    """A head that says [SEP] as soon as a number of tokens stand there."""
    sep, other = translator.tokenizer.eos_id, 2000

    class Ending(torch.nn.Module):
        config = translator.transformer.config

        def forward(self, source: torch.Tensor, target: torch.Tensor) -> attnviz.Trace:
            trace = translator.transformer(source, target)
            logits = torch.zeros_like(trace.logits)
            logits[0, -1, sep if target.shape[1] == end + 1 else other] = 1
            return replace(trace, logits=logits)

    said = greedy(replace(translator, transformer=Ending()), "a", 9)  # type: ignore[arg-type]
    assert said.ended and said.ids == (other,) * end


def test_it_stops_where_the_model_does(gpt: Model) -> None:
    config = replace(gpt.transformer.config, max_len=12)
    short = replace(gpt, transformer=attnviz.Transformer(config, torch.Generator().manual_seed(0)).eval())
    said = greedy(short, "one two three", 64)
    assert len(said.ids) == 12 - 4 or said.ended  # [CLS] and three words stand there already


def test_any_text_gets_an_answer(gpt: Model) -> None:
    @given(st.text(min_size=1, max_size=20), st.integers(1, 3))
    def check(text: str, n_tokens: int) -> None:
        said = greedy(gpt, text, n_tokens)
        assert len(said.ids) <= n_tokens and said.text == gpt.tokenizer.decode(said.ids)

    check()


def test_what_cannot_go_on_is_refused(gpt: Model) -> None:
    with pytest.raises(InvalidParameterError, match="predicts no next token"):
        greedy(attnviz.load("scratch:bert"), "a")
    with pytest.raises(InvalidParameterError, match="n_tokens=0"):
        greedy(gpt, "a", 0)
    with pytest.raises(InvalidParameterError, match=r"fills the model's 512 tokens"):
        greedy(gpt, "word " * 600)
