"""Decoding: greedy answers are transformers' own, draws follow their distribution, and every run is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

import attnviz
from attnviz import Intervention
from attnviz.errors import InvalidParameterError
from attnviz.generation.beam_search import beam
from attnviz.generation.sampling import Sampling, greedy, prompt, recorded, say, tokens, whole
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.model import Model
from tests.support.parity import close


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

        def forward(self, source: torch.Tensor, target: torch.Tensor, **_: object) -> attnviz.Trace:
            return self.said(translator.transformer(source, target))

        def step(self, ids: torch.Tensor, past: attnviz.Trace) -> attnviz.Trace:
            return self.said(translator.transformer.step(ids, past))

        def said(self, trace: attnviz.Trace) -> attnviz.Trace:
            logits = torch.zeros_like(trace.logits)
            logits[0, -1, sep if trace.n_so_far == end + 1 else other] = 1
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


# ---- transformers' own answers -------------------------------------------------------------------

VOCABULARY = 270


def folder_of(model: Any, folder: Path) -> Path:
    """The model with a tokenizer of bytes whose id 1 begins and id 2 ends a text."""
    tokenizer = Tokenizer.train_bpe(["the cat sat on the mat " * 9], VOCABULARY, start="[BOS]", end="[EOS]")
    model.save_pretrained(folder)
    tokenizer.save(folder / "tokenizer.json")
    return folder


def random_gpt2(seed: int, spread: float = 0.6) -> Any:
    """A GPT-2 with large weights, so that its answers vary and end."""
    import transformers

    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=48,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    model.tie_weights()
    return model


def random_bart(seed: int) -> Any:
    import transformers

    torch.manual_seed(seed)
    config = transformers.BartConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=48,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    model = transformers.BartForConditionalGeneration(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    model.tie_weights()
    return model


def theirs(model: Any, ids: tuple[int, ...], n_tokens: int, **options: Any) -> tuple[int, ...]:
    """The new tokens of transformers' generate, without the end token."""
    given = torch.tensor([ids])
    out = model.generate(
        given, attention_mask=torch.ones_like(given), max_new_tokens=n_tokens, do_sample=False, **options
    )[0].tolist()
    new = out[1:] if model.config.is_encoder_decoder else out[len(ids) :]
    return tuple(new[: new.index(2)] if 2 in new else new)


@pytest.mark.parametrize("seed", range(6))
def test_greedy_answers_are_those_of_transformers(seed: int, tmp_path: Path) -> None:
    library = random_gpt2(seed)
    model = attnviz.load(str(folder_of(library, tmp_path)))
    begin = prompt(model, "the cat")
    assert greedy(model, "the cat", 24).ids == theirs(library, begin.start, 24)


@pytest.mark.parametrize("seed", range(3))
def test_greedy_answers_of_an_adapted_encoder_decoder_model(seed: int, tmp_path: Path) -> None:
    library = random_bart(seed)
    model = attnviz.load(str(folder_of(library, tmp_path)))
    begin = prompt(model, "the cat")
    assert begin.source is not None and begin.start == (2,)
    assert greedy(model, "the cat", 16).ids == theirs(library, begin.source, 16)


@pytest.mark.parametrize(
    ("n_beams", "length_penalty"),
    [
        pytest.param(n, penalty, marks=() if (n, penalty) in ((2, 1.0), (3, 0.0), (5, 2.0)) else pytest.mark.nightly)
        for n in (2, 3, 5)
        for penalty in (0.0, 1.0, 2.0)
    ],
)
def test_beams_are_those_of_transformers(n_beams: int, length_penalty: float, tmp_path: Path) -> None:
    ended = 0
    for seed in range(8):
        library = random_gpt2(seed, 0.45)
        library.transformer.ln_f.bias.data += library.transformer.wte.weight.data[2] * 1.5  # the end is likely
        model = attnviz.load(str(folder_of(library, tmp_path)))
        begin = prompt(model, "the cat")
        found = beam(model, "the cat", n_beams, 12, length_penalty=length_penalty)
        expected = theirs(library, begin.start, 12, num_beams=n_beams, length_penalty=length_penalty)
        assert found[0].ids == expected, seed
        assert len(found) == n_beams
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        ended += any(one.ended and one.ids for one in found)
    assert ended > 0  # or nothing was tested of how beams finish


def test_beams_of_an_adapted_encoder_decoder_model(tmp_path: Path) -> None:
    library = random_bart(1)
    model = attnviz.load(str(folder_of(library, tmp_path)))
    begin = prompt(model, "the cat")
    assert begin.source is not None
    for n_beams in (2, 4):
        assert beam(model, "the cat", n_beams, 10)[0].ids == theirs(library, begin.source, 10, num_beams=n_beams)


def test_enough_beams_find_the_best_of_all_answers(tmp_path: Path) -> None:
    """Of two tokens there are V + V² answers: sixteen beams of a peaked model cannot miss the best one."""
    model = attnviz.load(str(folder_of(random_gpt2(3, 0.8), tmp_path)))
    best = beam(model, "the cat", 16, 2, length_penalty=0.0)[0]
    begin = prompt(model, "the cat")
    first = begin.run(model).logits[0, -1].log_softmax(-1)  # type: ignore[index]
    scores = {(): float(first[2])}
    for token in first.topk(40).indices.tolist():
        if token != 2:
            second = begin.run(model, [token]).logits[0, -1].log_softmax(-1)  # type: ignore[index]
            scores |= {(token, other): float(first[token] + second[other]) for other in range(VOCABULARY) if other != 2}
            scores[(token,)] = float(first[token] + second[2])
    top = max(scores, key=lambda ids: scores[ids])
    assert best.ids == top
    assert best.score == pytest.approx(scores[top], abs=1e-4)


def test_too_many_beams_are_refused(gpt: Model) -> None:
    with pytest.raises(InvalidParameterError, match="n_beams=17 is more than the 16"):
        beam(gpt, "a", 17)


# ---- sampling --------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(-9, 9), min_size=2, max_size=12, unique=True),
    st.floats(0.05, 5),
    st.integers(0, 12),
    st.floats(0.05, 1),
)
@example([0.0, 1, 2, 3, 4, 1.5, 2.5, 1.8e-300], 1.0, 7, 1.0)  # whoever subtracts the top first keeps all eight
@example([-3.0, 0.0, -7.0, 1e-310], 1.0, 3, 0.05)  # whoever ranks probabilities keeps the wrong one of two equal ones
def test_probabilities_are_those_of_transformers(
    logits: list[float], temperature: float, top_k: int, top_p: float
) -> None:
    from transformers import generation

    ours = Sampling(temperature, top_k, top_p).probabilities(torch.tensor([logits], dtype=torch.float64))
    scores = torch.tensor([logits], dtype=torch.float64)
    ids = torch.zeros(1, 1, dtype=torch.long)
    scores = generation.TemperatureLogitsWarper(temperature)(ids, scores)
    if len(scores.unique()) < len(logits):
        return  # 5e-324 / 2 is 0: transformers, which divides first, takes two logits for one
    if top_k:
        scores = generation.TopKLogitsWarper(top_k)(ids, scores)
    if top_p < 1:
        before = scores.softmax(-1).sort(descending=True).values.cumsum(-1)
        if bool(((before - top_p).abs() < 1e-9).any()):
            return  # on the edge, where sums in another order may decide
        scores = generation.TopPLogitsWarper(top_p)(ids, scores)
    close(ours, scores.softmax(-1), 1e-9)


@pytest.mark.parametrize("logits", [[0.0, 1e-310], [1e-310, 0.0]])
def test_top_p_keeps_the_likelier_of_two_whose_probabilities_are_equal(logits: list[float]) -> None:
    p = Sampling(top_p=0.4).probabilities(torch.tensor([logits], dtype=torch.float64))
    assert p[0].tolist() == [float(logit > 0) for logit in logits]


def test_top_k_tells_logits_apart_that_differ_by_less_than_the_top_can_resolve():
    """4 − 1.8e-300 is 4: whoever takes the top off first keeps both of the last two."""
    p = Sampling(top_k=7).probabilities(torch.tensor([[0.0, 1, 2, 3, 4, 1.5, 2.5, 1.8e-300]], dtype=torch.float64))
    assert (p > 0).tolist() == [[False, *[True] * 7]]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.7), Sampling(1.3, 12), Sampling(1.0, 0, 0.8)])
def test_draws_follow_their_distribution(sampling: Sampling, tmp_path: Path) -> None:
    """Chi-square over 2,000 seeds; tokens expected less than five times are one class."""
    model = attnviz.load(str(folder_of(random_gpt2(0, 0.3), tmp_path)))
    begin = prompt(model, "the cat")
    p = sampling.probabilities(begin.run(model).logits[0, -1])  # type: ignore[index]
    n = 2000
    drawn = torch.zeros(VOCABULARY)
    run = begin.run(model)
    for seed in range(n):
        generator = torch.Generator().manual_seed(seed)
        drawn[int(torch.multinomial(sampling.probabilities(run.logits[0, -1]), 1, generator=generator))] += 1  # type: ignore[index]
    first = [next(tokens(model, begin, sampling, seed=seed)).id for seed in range(40)]
    alone = [int(torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))) for seed in range(40)]
    assert first == alone  # `tokens` draws just so
    assert drawn[p == 0].sum() == 0
    often = p * n >= 5
    seen, wanted = drawn[often].tolist(), (p[often] * n).tolist()
    if float(p[~often].sum()) * n >= 5:
        seen.append(float(drawn[~often].sum()))
        wanted.append(float(p[~often].sum()) * n)
    scaled = [x * sum(seen) / sum(wanted) for x in wanted]
    assert stats.chisquare(seen, scaled).pvalue > 1e-3


def test_the_same_seed_says_the_same(gpt: Model) -> None:
    one, other = (say(gpt, "The cat", 8, Sampling(2.0), seed) for seed in (1, 2))
    assert say(gpt, "The cat", 8, Sampling(2.0), 1) == one != other


@pytest.mark.parametrize(
    ("values", "named"),
    [((0.0,), "temperature=0.0"), ((1.0, -1), "top_k -1"), ((1.0, 0, 0.0), "top_p=0.0"), ((1.0, 0, 1.1), "top_p=1.1")],
)
def test_settings_out_of_range_are_refused(values: tuple[Any, ...], named: str) -> None:
    with pytest.raises(InvalidParameterError, match=named):
        Sampling(*values)


# ---- what is kept ----------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [None, Intervention(temperature=0.4), Intervention(mask=("window", 2))])
@pytest.mark.parametrize("which", ["gpt", "translator"])
def test_the_runs_of_the_steps_are_the_run_on_the_whole(
    which: str, change: Intervention | None, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(which)
    begin = prompt(model, "The cat sat on")
    spoken = []
    for token in tokens(model, begin, intervention=change):
        spoken.append(token)
        if len(spoken) == 5:
            break
    kept = recorded(model, begin, spoken)
    once = whole(model, begin, [token.id for token in spoken[:-1]], change)
    assert kept.tokens == once.tokens and kept.encodings[0].ids == (*begin.start, *(t.id for t in spoken[:-1]))
    for a, b in zip(kept.attentions + kept.cross_attentions, once.attentions + once.cross_attentions, strict=True):
        close(a, b, 1e-5)
    close(kept.logits, once.logits, 1e-4)  # type: ignore[arg-type]


def test_what_was_said_already_is_gone_on_from(gpt: Model) -> None:
    begin = prompt(gpt, "The cat sat on")
    all_of_it = [token.id for token, _ in zip(tokens(gpt, begin), range(6), strict=False)]
    rest = [token.id for token, _ in zip(tokens(gpt, begin, answer=all_of_it[:2]), range(4), strict=False)]
    assert all_of_it[2:] == rest
