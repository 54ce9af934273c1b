"""The grammar's answers are right and can be known; the tales task measures heads against them."""

import random
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnviz import Transformer
from attnviz.nn.config import ModelConfig
from attnviz.training.tasks import IGNORED, Tales, grammar
from attnviz.training.tasks.grammar import ADJECTIVES, DOES, IS, NOUNS, RELATIONS, WANTS, Dependency, Sentence
from attnviz.training.tasks.tales import N_HELD_OUT, part_of, place_and_chance, rank

SEEDS = st.integers(0, 2**62)
# Read off the tables in another way than the grammar does: every form of a word with what it tells.
SINGULAR = {name: group for group, nouns in NOUNS.items() for name in nouns}
PLURAL = {forms[0]: group for group, nouns in NOUNS.items() for forms in nouns.values()}
THINGS = {forms[2] for nouns in NOUNS.values() for forms in nouns.values()} - {""}
GROUP = {**SINGULAR, **PLURAL, **dict.fromkeys(THINGS, "thing")}
PRONOUN = {name: forms[1] for nouns in NOUNS.values() for name, forms in nouns.items()} | dict.fromkeys(PLURAL, "they")
VERBS = [*WANTS, IS, *(forms for group in DOES.values() for forms in group)]
ONE, MANY = {forms[0] for forms in VERBS}, {forms[1] for forms in VERBS}


@pytest.fixture(scope="module")
def task() -> Tales:
    return Tales(64)


def drawn(seed: int) -> Sentence:
    return grammar.sentence(random.Random(seed))


@given(SEEDS)
def test_a_pronoun_means_the_only_noun_that_it_can(seed: int) -> None:
    one = drawn(seed)
    for link in one.links:
        if link.relation == "pronoun":
            said = one.words[link.word].lower()
            before = [place for place in one.nouns if place < link.word]
            assert [place for place in before if PRONOUN[one.words[place]] == said] == [link.noun]


@given(SEEDS)
def test_the_nouns_of_a_sentence_are_of_different_groups(seed: int) -> None:
    groups = [GROUP[drawn(seed).words[place]] for place in drawn(seed).nouns]
    assert len(groups) == len(set(groups))


@given(SEEDS)
def test_a_verb_agrees_with_its_noun(seed: int) -> None:
    one = drawn(seed)
    for link in one.links:
        if link.relation == "verb":
            assert one.words[link.word] in (MANY if one.words[link.noun] in PLURAL else ONE)
            assert one.words[link.noun] not in THINGS and link.noun < link.word
            doing = {forms for group, all_ in DOES.items() for forms in all_ if group == GROUP[one.words[link.noun]]}
            assert any(one.words[link.word] in forms for forms in doing)


@given(SEEDS)
def test_an_adjective_is_of_its_nouns_group(seed: int) -> None:
    one = drawn(seed)
    for link in one.links:
        if link.relation == "adjective":
            assert one.words[link.word] in ADJECTIVES[GROUP[one.words[link.noun]]]


@given(SEEDS)
def test_every_word_that_depends_on_a_noun_has_one_link(seed: int) -> None:
    one = drawn(seed)
    assert [i for i, word in enumerate(one.words) if word in GROUP] == sorted(one.nouns)
    linked = Counter(link.word for link in one.links)
    pronouns = [i for i, word in enumerate(one.words) if word.lower() in {*PRONOUN.values()}]
    (after,) = pronouns or (len(one.words),)  # what stands behind it belongs to it, but for what describes a thing
    things = [i for i, word in enumerate(one.words) if word in THINGS] or [0]
    adjectives = {a for all_ in ADJECTIVES.values() for a in all_}
    owed = {i for i, word in enumerate(one.words) if word in adjectives and (i < after or i < things[0])}
    owed |= {i for i, word in enumerate(one.words) if word in ONE | MANY and i < after} | {*pronouns}
    assert linked == Counter(owed)


@given(SEEDS)
def test_a_thing_belongs_to_the_one_meant(seed: int) -> None:
    one = drawn(seed)
    owners = {forms[2]: {name, forms[0]} for nouns in NOUNS.values() for name, forms in nouns.items() if forms[2]}
    meant = [one.words[link.noun] for link in one.links if link.relation == "pronoun"]
    for word in one.words:
        if word in THINGS:
            assert meant and meant[0] in owners[word]


def test_a_token_per_word_as_the_tokenizer_reads_the_text(task: Tales) -> None:
    @given(SEEDS)
    def check(seed: int) -> None:
        one = drawn(seed)
        encoding = task.tokenizer.encode(one.text)
        assert list(encoding.ids) == task.read(one) and len(encoding) <= 48 <= task.max_len
        assert encoding.labels[1:-1] == one.words
        assert one.text[0].isupper() and one.text.endswith(".")
        assert " ." not in one.text and " ," not in one.text

    check()


def test_what_is_held_out_is_never_trained_on(task: Tales) -> None:
    val, test = ({one.text for one in task.sentences(split)} for split in ("val", "test"))
    assert len(val) == len(test) == N_HELD_OUT and not val & test
    assert {part_of(task.read(one)) for one in task.sentences("val")} == {0}
    assert {part_of(task.read(one)) for one in task.sentences("test")} == {1}
    for seed in range(20):
        batch = task.batch(32, torch.Generator().manual_seed(seed))
        whole = torch.where(batch.labels != IGNORED, batch.labels, batch.ids)
        parts = {part_of(row[:n].tolist()) for row, n in zip(whole, batch.lengths or (), strict=True)}
        assert parts <= set(range(2, 10))


def test_words_are_hidden_or_exchanged_for_their_like_and_asked_for(task: Tales) -> None:
    kind = {task.ids[word]: i for i, words in enumerate(grammar.kinds()) for word in words}
    how: Counter[str] = Counter()
    for seed in range(30):
        batch = task.batch(32, torch.Generator().manual_seed(seed))
        for ids, labels, n in zip(batch.ids.tolist(), batch.labels.tolist(), batch.lengths or (), strict=True):
            assert labels[0] == IGNORED and set(labels[n - 1 :]) == {IGNORED} and set(labels) != {IGNORED}
            for seen, label in zip(ids[1 : n - 1], labels[1 : n - 1], strict=True):
                how["words"] += 1
                if label == IGNORED:
                    continue
                hidden = seen == task.tokenizer.mask_id
                how["hidden" if hidden else "same" if seen == label else "other"] += 1
                assert hidden or kind[seen] == kind[label]
    asked = how["hidden"] + how["same"] + how["other"]
    assert how["hidden"] / asked == pytest.approx(0.6, abs=0.03)
    assert how["other"] / asked == pytest.approx(0.28, abs=0.04)  # of its like one in a few is the word itself


def test_pointing_is_what_a_look_at_each_sentence_finds(task: Tales) -> None:
    config = ModelConfig(vocab_size=task.tokenizer.vocab_size, max_len=64, d_model=16, n_heads=2, d_ff=16, head="lm")
    model = Transformer(config, torch.Generator().manual_seed(1)).eval()
    for p in model.parameters():
        p.data.mul_(8)  # weights that differ
    with torch.inference_mode():
        found = task.pointing(model, "val")
        right, count = torch.zeros(found.shape), Counter()
        for one in task.sentences("val"):
            attentions = model(torch.tensor([task.read(one)])).attentions
            for link in one.links:
                relation = RELATIONS.index(link.relation)
                count[relation] += 1
                for layer, weights in enumerate(attentions):
                    for head in range(2):
                        row = weights[0, head, link.word + 1].tolist()
                        right[relation, layer, head] += max(one.nouns, key=lambda i: row[i + 1]) == link.noun
    for relation in range(3):
        torch.testing.assert_close(found[relation], right[relation] / count[relation])


def test_rules_that_know_only_places() -> None:
    """Two sentences of three nouns: by hand."""
    links = (Dependency("verb", 3, 0), Dependency("verb", 3, 5), Dependency("verb", 4, 1))
    one = Sentence(("w",) * 6, (0, 2, 5), links[:2])
    two = Sentence(("w",) * 6, (1, 2, 5), links[2:])
    assert [rank(one, link) for link in links[:2]] == [-2, 1] and rank(two, links[2]) == -2
    by_place, by_chance = place_and_chance([one, two], "verb")
    assert by_place == pytest.approx(2 / 3) and by_chance == pytest.approx(1 / 3)


def test_roles_name_the_best_head_of_the_other_split(task: Tales) -> None:
    config = ModelConfig(vocab_size=task.tokenizer.vocab_size, max_len=64, d_model=16, n_heads=2, d_ff=16, head="lm")
    model = Transformer(config, torch.Generator().manual_seed(2)).eval()
    with torch.inference_mode():
        roles, chosen, measured = task.roles(model), task.pointing(model, "val"), task.pointing(model, "test")
    assert [role.what for role in roles] == ["pronoun → noun", "verb → noun", "adjective → noun"]
    for i, role in enumerate(roles):
        assert chosen[i, role.layer, role.head] == chosen[i].max()
        assert role.score == pytest.approx(float(measured[i, role.layer, role.head]))
        assert 0 < role.by_chance < role.by_place < 1
