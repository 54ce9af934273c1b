"""Programs as transformers: the weights say what the program says, on every text; what cannot be one is a sentence."""

from __future__ import annotations

import random
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import Intervention, InvalidParameterError, ModelError, load
from attnviz.analysis.provenance.steps import layer_provenance
from attnviz.models.anatomy import anatomy
from attnviz.models.programs import language, source
from attnviz.models.programs.library import LISTINGS, LONGEST
from attnviz.models.programs.models import NOTHING, Programmed, listed, programmed

NAMES = [listing.name for listing in LISTINGS]


@cache
def made(name: str) -> Programmed:
    return listed(name)


def said(made: Programmed, texts: list[str]) -> list[str]:
    """What the transformer says at each letter of texts of one length."""
    tokenizer = made.model.tokenizer
    ids = torch.tensor([tokenizer.encode(text).ids for text in texts])
    with torch.inference_mode():
        logits = made.model.transformer(ids).logits
    assert logits is not None
    return ["".join(map(tokenizer.library.id_to_token, row)) for row in logits[:, 1:].argmax(dim=-1).tolist()]


def random_texts(alphabet: str, n: int) -> dict[int, list[str]]:
    """n random texts by their length."""
    draw, texts = random.Random(0), {}
    for _ in range(n):
        text = "".join(draw.choices(alphabet, k=draw.randint(1, LONGEST)))
        texts.setdefault(len(text), []).append(text)
    return texts


def check(name: str, n: int) -> None:
    one = made(name)
    for texts in random_texts(one.program.alphabet, n).values():
        assert said(one, texts) == [one.meaning(text) for text in texts]


@pytest.mark.parametrize("name", NAMES)
def test_the_transformer_says_what_the_program_says(name):
    check(name, 60)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_and_on_a_thousand_texts(name):
    check(name, 1_000)


def by_hand(name: str, text: str) -> str:
    """The same written once more, in plain Python."""
    n = len(text)
    match name:
        case "previous":
            return (NOTHING + text)[:n]
        case "shift":
            return (3 * NOTHING + text)[:n]
        case "first":
            return text[0] * n
        case "reverse":
            return text[::-1]
        case "histogram":
            return "".join(str(min(text.count(letter), 9)) for letter in text)
        case "seen":
            return "".join("T" if letter in text[:i] else "F" for i, letter in enumerate(text))
        case "last-seen":
            ago = [i - text.rfind(letter, 0, i) if letter in text[:i] else None for i, letter in enumerate(text)]
            return "".join("-" if distance is None else str(min(distance, 9)) for distance in ago)
        case "sort":
            return "".join(sorted(text))
        case "induction":
            last = [text.rfind(letter, 0, i) for i, letter in enumerate(text)]
            return "".join(NOTHING if place < 0 else text[place + 1] for place in last)
        case "commonest":
            return max(text, key=lambda letter: (text.count(letter), -text.index(letter))) * n
        case "palindrome":
            return "FT"[text == text[::-1]] * n
        case "balanced":
            rest = text
            while "()" in rest:
                rest = rest.replace("()", "")
            return "FT"[not rest] * n
    raise AssertionError(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_program_says_what_its_title_says(name):
    program = made(name).program
    for texts in random_texts(program.alphabet, 200).values():
        for text in texts:
            assert made(name).meaning(text) == by_hand(name, text)


def test_the_heads_are_known_and_look_where_the_program_says():
    one = made("induction")
    assert one.compiled.roles == {(0, 0): "previous", (1, 0): "induction"}
    trace = one.model.run("abcdabc")
    before, follows = (trace.layers[layer].attention.weights[0, 0] for layer in (0, 1))
    torch.testing.assert_close(before[1:, :-1].diagonal(), torch.ones(7))
    assert follows[5:].argmax(dim=-1).tolist() == [2, 3, 4]  # what stood after the first a, b and c
    assert follows[1:5, 0].min() > 0.999  # no such place: the start


@pytest.mark.parametrize("head", [(0, 0), (1, 0)])
def test_without_either_head_nothing_is_copied(head):
    one = made("induction")
    trace = one.model.run("abcdabc", intervention=Intervention(head_scale=((*head, 0.0),)))
    assert trace.logits[0, 1:].argmax(dim=-1).tolist() == 7 * [one.model.tokenizer.library.token_to_id(NOTHING)]


def test_load_takes_a_program_by_its_name():
    model = load("program:sort")
    assert model.info.title == "Program: Sort" and model.info.n_parameters == model.transformer.config.n_parameters
    with pytest.raises(ModelError, match=r"no program 'sprt'.*program:sort"):
        load("program:sprt")


def test_every_parameter_is_written_and_stands_in_the_models_parts():
    transformer = made("sort").model.transformer
    assert anatomy(transformer).n == sum(p.numel() for p in transformer.parameters())
    assert not any("norm" in name for name, _ in transformer.named_parameters())


def test_a_number_is_traced_through_a_layer_without_norms():
    one = made("reverse")
    trace = one.model.run("abcd")
    matrices = layer_provenance(one.model.transformer, trace, 1).matrices
    assert not {"n", "n2"} & matrices.keys()
    torch.testing.assert_close(torch.from_numpy(matrices["y"].values), trace.layers[1].resid_post[0])


# ---- programs as text ----------------------------------------------------------------------------------------


def meaning(text: str, letters: str, alphabet: str = "abc") -> list[language.Value | None]:
    return source.read(text, alphabet, 8).meaning(letters)


def test_operators_are_pythons():
    assert meaning("(indices * 2 + 1) % 3 - indices // 2", "aaaaa") == [(2 * i + 1) % 3 - i // 2 for i in range(5)]
    assert meaning("not (indices < 2 or indices == 3) and indices != 4", "aaaaa") == [False, False, True, False, False]
    assert meaning("'a' if tokens == 'b' else tokens", "abc") == ["a", "a", "c"]
    assert meaning("max(indices, 2, abs(1 - indices)) if -1 < indices <= 9 else 0", "aaaa") == [2, 2, 2, 3]


def test_functions_of_functions_take_one_layer():
    program = source.read("a = indices + 1\nb = a * a\nb % 5", "abc", 8)
    assert programmed(program, "mine", "Mine").model.transformer.config.n_layers == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("x", "no name 'x'"),
        ("a = 1\nb = a +", "line 2 cannot be read"),
        ("import os", "line 1: a line is"),
        ("tokens.__class__", "not part of the language"),
        ("__import__('os')", "no function '__import__'"),
        ("(lambda: 1)()", "not part of the language"),
        ("[x for x in tokens]", "not part of the language"),
        ("f'{tokens}'", "not part of the language"),
        ("9 ** 9", "not part of the language"),
        ("indices * 1000000 * 1000000", "too large a number"),
        ("10 ** 10 if indices else 0", "not part of the language"),
        ("1000000000", "a constant is"),
        ("1.5", "a constant is"),
        ("tokens + 1", "'a' is a letter"),
        ("tokens < indices", "have no order"),
        ("indices % 0", "divided by 0"),
        ("max()", "a value is missing"),
        ("count(tokens)", "here stands a select"),
        ("tokens + select(tokens, tokens, key == query)", "here stands a sequence"),
        ("select(tokens, tokens, key == query)", "last line selects"),
        ("count(select(tokens, tokens))", "it is select(keys"),
        ("count(select(tokens, tokens, other == query), 1)", "it is count(selector)"),
        ("count(select(tokens, tokens, other == query))", "no name 'other'"),
        ("count(select(tokens, tokens, key == query, prefer='any'))", "prefer="),
        ("(" * 300 + "1" + ")" * 300, "cannot be read"),
        ("1" + "+1" * 400, "parts; at most 600"),
        ("#" * 2_000, "2,000 characters"),
        ("\0", "cannot be read"),
    ],
)
def test_what_is_no_program_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(InvalidParameterError) as refused:
        meaning(text, "abc")
    assert sentence in str(refused.value)


def test_what_a_model_cannot_be_is_said():
    with pytest.raises(InvalidParameterError, match=r"3 × 12 × 12 × 12 = 5,184 combinations.*at most 2,048"):
        twice = "aggregate(select(indices, indices, key == query - 1), indices)"
        source.read(f"indices + {twice} * 12 + {twice} if tokens == 'a' else 0", "abc", 12)
    with pytest.raises(InvalidParameterError, match=r"40,000 pairs of values is too large: at most 16,384"):
        source.read("count(select(indices, indices, True))", "abc", 200)
    with pytest.raises(InvalidParameterError, match=r"takes [\d,]+ weights: .* at most 5,000,000"):
        lines = "a = indices\n" + 12 * "a = aggregate(select(count(select(a, a, key < query)), a, key == query), a)\n"
        programmed(source.read(lines, "abc", 100), "mine", "Mine")
    with pytest.raises(InvalidParameterError, match="says '10', which is not one of its tokens"):
        programmed(source.read("indices + 10", "abc", 8), "mine", "Mine")
    with pytest.raises(InvalidParameterError, match="9 letters are more than the 8"):
        meaning("tokens", "aaaaaaaaa")
    with pytest.raises(InvalidParameterError, match="'a' more than once"):
        source.read("tokens", "aba", 8)


SEQUENCES = st.recursive(
    st.sampled_from(["tokens", "indices", "(indices % 3)", "(tokens == 'b')"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"count(select({two[0]}, {two[1]}, key == query))"),
        st.tuples(inner, inner, inner).map(
            lambda three: f"aggregate(select({three[0]}, {three[1]}, key != query), {three[2]})"
        ),
        st.tuples(inner, inner).map(
            lambda two: (
                f"aggregate(select(indices, indices, key < query, prefer='first') "
                f"& select({two[0]}, {two[0]}, key == query), {two[1]})"
            )
        ),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} == {two[1]})"),
        inner.map(lambda one: f"otherwise({one}, 'c')"),
    ),
    max_leaves=4,
)


@settings(max_examples=25, deadline=None)
@given(SEQUENCES, st.text("abc", min_size=1, max_size=6), st.booleans())
def test_any_program_and_its_transformer_agree(expression, text, causal):
    program = source.read(f"{expression} == 1", "abc", 6, causal=causal)
    one = programmed(program, "mine", "Mine")
    assert said(one, [text]) == [one.meaning(text)]
