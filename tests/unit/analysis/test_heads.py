"""Scores of heads: against loops written from TransformerLens's documentation, against its own function where it is
installed, and on models whose heads are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import attnviz
from attnviz import InvalidParameterError, Model, ShapeError, Trace, Transformer, preset
from attnviz.analysis import heads, roles
from attnviz.inputs.tokenizers import Tokenizer
from tests.support.hf_architectures import pair
from tests.support.parity import close

KINDS: tuple[heads.Kind, ...] = ("previous-token", "duplicate-token", "induction")


def run(ids: list[list[int]], kind: str = "decoder", lengths: list[int] | None = None) -> Trace:
    config = preset("test", kind=kind, d_model=8, n_heads=2)
    model = Transformer(config, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(2)) * 0.5)
    return model.eval().requires_grad_(False)(torch.tensor(ids), lengths=lengths)


def looks(kind: str, ids: list[int], i: int, j: int) -> bool:
    """Whether a head of a kind looks from token i at token j: its definition in words, cell by cell."""
    if kind == "previous-token":
        return j == i - 1
    if kind == "duplicate-token":
        return j < i and ids[j] == ids[i]
    return 1 <= j <= i and ids[j - 1] == ids[i]


@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=9),
    st.sampled_from(KINDS),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["mul", "abs"]),
)
def test_scores_are_those_that_transformer_lens_documents(
    ids: list[int], kind: heads.Kind, first: bool, itself: bool, measure: Any
) -> None:
    """ "mul": the sum of attention times pattern over the sum of attention. "abs": 1 − the mean row's distance."""
    trace = run([ids])
    expected = torch.zeros(2, 2)
    for layer in range(2):
        for head in range(2):
            hit = total = distance = 0.0
            for i in range(len(ids)):
                for j in range(len(ids)):
                    if (j == 0 and not first) or (i == j and not itself):
                        continue
                    weight = float(trace.attentions[layer][0, head, i, j])
                    wanted = looks(kind, ids, i, j)
                    hit, total, distance = hit + weight * wanted, total + weight, distance + abs(weight - wanted)
            if measure == "abs":
                expected[layer, head] = 1 - distance / len(ids)
            else:
                expected[layer, head] = hit / total if total else torch.nan
    ours = heads.score(trace, kind, ids=[ids], first=first, itself=itself, measure=measure)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5, equal_nan=True)


@pytest.fixture(scope="module")
def lens(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A random GPT-2 in TransformerLens, and in attnviz, both on the same ids."""
    bridge = pytest.importorskip("transformer_lens.model_bridge", reason="TransformerLens is not installed")
    import transformers

    folder, ids = tmp_path_factory.mktemp("gpt2"), torch.tensor([[7, 3, 9, 3, 7, 7, 1, 9, 3, 9]])
    config = transformers.GPT2Config(vocab_size=300, n_embd=16, n_layer=2, n_head=4, n_positions=32)
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    Tokenizer.train_bpe(["the cat sat on the mat"], 300).save(folder / "tokenizer.json")
    names = {"bos_token": "[START]", "eos_token": "[END]", "pad_token": "[END]"}
    transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **names).save_pretrained(folder)
    model.save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    theirs = bridge.TransformerBridge.boot_transformers(str(folder), hf_model=model, tokenizer=tokenizer, device="cpu")
    theirs.to_tokens = lambda text, **more: ids
    return theirs, attnviz.load(folder).run(ids), ids


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_transformer_lenss_own(kind: heads.Kind, lens: Any) -> None:
    """Its run of the model and its function. It rounds "abs" to three digits."""
    from transformer_lens.head_detector import detect_head

    model, trace, ids = lens
    name = kind.replace("-", "_") + "_head"
    for first in (True, False):
        options = {"exclude_bos": not first, "exclude_current_token": not first}
        for measure, tolerance in (("mul", 1e-6), ("abs", 6e-4)):
            expected = detect_head(model, "", name, error_measure=measure, **options)
            ours = heads.score(trace, kind, ids=ids.tolist(), first=first, itself=first, measure=measure)
            close(ours, expected.float(), tolerance)


def test_a_batch_is_the_mean_of_its_texts_without_padding() -> None:
    ids, lengths = [[1, 2, 1, 2, 3], [4, 4, 0, 0, 0]], [5, 2]
    whole = heads.induction(run(ids, lengths=lengths), ids=ids)
    alone = [heads.induction(run([row[:n]]), ids=[row[:n]]) for row, n in zip(ids, lengths, strict=True)]
    close(whole, torch.stack(alone).mean(0), 1e-6)


def test_functions_by_name_and_all_at_once_are_score() -> None:
    ids = [[5, 6, 5, 6]]
    trace = run(ids, kind="encoder")
    assert torch.equal(
        heads.previous_token(trace, ids=ids, first=False), heads.score(trace, "previous-token", ids=ids, first=False)
    )
    assert torch.equal(heads.duplicate_token(trace, ids=ids), heads.score(trace, "duplicate-token", ids=ids))
    assert torch.equal(
        heads.induction(trace, ids=ids, itself=False), heads.score(trace, "induction", ids=ids, itself=False)
    )
    together = torch.stack([heads.score(trace, kind, ids=ids) for kind in KINDS])
    close(heads.scores(trace, ids=ids), together, 1e-7)
    everywhere = heads.score(trace, torch.ones(4, 4), ids=ids)
    close(everywhere, torch.ones(2, 2), 1e-6)


def test_scores_from_tokens_are_those_of_a_run_that_goes_on_to_its_logits() -> None:
    transformer = attnviz.load("austen").transformer
    ids = torch.randint(1, 400, (2, 12), generator=torch.Generator().manual_seed(3)).repeat(1, 2)
    whole = transformer(ids)
    silent = heads.without_logits(transformer)(ids)
    assert silent.logits is None and torch.equal(silent.final, whole.final)
    assert whole.logits is not None and transformer.head is not None  # the model itself still speaks
    found = heads.detect(transformer, ids, itself=False)
    assert torch.equal(found, heads.scores(whole, ids=ids.tolist(), itself=False))
    mute = attnviz.load("minilm").transformer
    assert heads.without_logits(mute) is mute


def test_a_model_that_was_trained_for_it_has_an_induction_head() -> None:
    scores = heads.probe(attnviz.load("induction"), "induction", length=8, first=False)
    chance = heads.probe(attnviz.load("scratch:gpt"), "induction", length=8, first=False).max()
    assert scores.max() > 0.1 > chance


def test_minilm_has_a_head_that_looks_at_the_token_before(minilm: Model) -> None:
    scores = heads.probe(minilm, "previous-token", length=12)
    assert scores.shape == (6, 12) and scores.max() > 0.9


def test_probes_are_random_tokens_said_twice(minilm: Model) -> None:
    ids = heads.repeated(minilm, 10, 3, seed=4)
    assert ids.shape == (3, 21) and torch.equal(ids[:, 1:11], ids[:, 11:])
    assert ids[:, 0].eq(minilm.tokenizer.encode("a").ids[0]).all()
    special = {i for i, one in minilm.tokenizer.library.get_added_tokens_decoder().items() if one.special}
    assert not special & set(ids[:, 1:].flatten().tolist())
    assert torch.equal(ids, heads.repeated(minilm, 10, 3, seed=4)) and not torch.equal(
        ids, heads.repeated(minilm, 10, 3)
    )


def test_an_encoder_decoders_heads_are_its_decoders() -> None:
    assert heads.probe(attnviz.load("scratch:base"), "previous-token", length=3, n_texts=1).shape == (6, 8)


def test_a_layer_without_attention_has_no_score() -> None:
    trace = run([[1, 2, 3]])
    first, second = trace.layers
    scores = heads.previous_token(replace(trace, layers=(replace(first, attention=None), second)), ids=[[1, 2, 3]])
    assert scores[0].isnan().all() and not scores[1].isnan().any()


def test_what_cannot_be_scored_is_refused() -> None:
    trace = run([[1, 2, 3]])
    with pytest.raises(InvalidParameterError, match="1 texts, but tokens of 0: give ids"):
        heads.induction(trace)
    with pytest.raises(InvalidParameterError, match="kind='name-mover' is not one of previous-token"):
        heads.score(trace, "name-mover", ids=[[1, 2, 3]])  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="measure='cos' is neither"):
        heads.score(trace, "induction", ids=[[1, 2, 3]], measure="cos")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"the pattern is \(2, 2\), but the text has 3 tokens"):
        heads.score(trace, torch.eye(2), ids=[[1, 2, 3]])
    with pytest.raises(InvalidParameterError, match=r"1 \+ 2 · 300 tokens are more than the model's 512"):
        heads.probe(attnviz.load("minilm"), "induction", length=300)
    with pytest.raises(InvalidParameterError, match="reads images, not text"):
        heads.probe(attnviz.load("digits"), "induction")


def test_heads_of_a_model_that_transformers_computes_are_judged() -> None:
    """To run it without logits was refused, and with that its roles, and the scores of its heads from tokens."""
    hf, _ = pair("BertForMaskedLM", vocab_size=30522)
    ids = torch.tensor([[5, 9, 7, 5, 9]])
    with torch.inference_mode():
        expected = heads.scores(hf(ids), ids=ids.tolist())
    assert torch.equal(heads.detect(hf, ids), expected)
    model = replace(attnviz.load("minilm"), transformer=hf)
    texts = ["The cat sat on the mat.", "A dog ran."]
    found, natural = (roles.of_model(model, texts, probes=probes) for probes in (True, False))
    assert torch.equal(found.of("previous"), natural.of("previous"))
    place = roles.MEASURES.index("induction")
    assert int(natural.queries[place]) == 2 and int(found.queries[place]) > 500  # “the” twice; words said twice


def test_a_vocabulary_of_special_tokens_has_nothing_to_repeat() -> None:
    model = attnviz.load("induction")
    one = replace(model.transformer.config, vocab_size=1)
    tiny = replace(model, transformer=Transformer(one, torch.Generator().manual_seed(0)))
    with pytest.raises(InvalidParameterError, match="no tokens but special ones: there is nothing to repeat"):
        heads.repeated(tiny, 3)
