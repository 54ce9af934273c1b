"""The bundled language model: what can be checked without the novels, which stay out of the project."""

import json
import math

import pytest
import torch
from torch.nn import functional as F

import attnviz
from attnviz.generation.sampling import greedy
from attnviz.models.catalogue import BUNDLED
from attnviz.training.tasks.sequences import said_twice, scores

LINE = "She was not at all afraid of being left alone with her sister, who had nothing to say to her."
SHUFFLED = "left to not who her say all nothing alone at She her being of had was her sister, afraid with to."


@pytest.fixture(scope="module")
def austen() -> attnviz.Model:
    return attnviz.load("austen")


@pytest.fixture(scope="module")
def log() -> dict:
    return json.loads((BUNDLED / "austen" / "training.json").read_text(encoding="utf-8"))


def loss(model: attnviz.Model, text: str) -> float:
    """Nats per token."""
    trace = model.run(text)
    assert trace.logits is not None
    return float(F.cross_entropy(trace.logits[0, :-1], torch.tensor(model.encode(text).ids[1:])))


def test_its_head_scores_are_those_it_states(austen: attnviz.Model, log: dict) -> None:
    alphabet = torch.arange(len(austen.tokenizer.library.get_added_tokens_decoder()), austen.tokenizer.vocab_size)
    with torch.inference_mode():
        twice = said_twice(alphabet, austen.encode("a").ids[0], log["config"]["length"])
        found = scores(austen.transformer, twice).best
    assert found == pytest.approx({name: log["metrics"][name] for name in found}, rel=1e-4)
    assert found["previous"] > 0.5 and found["induction"] > 0.5


def test_it_has_learned_english(austen: attnviz.Model) -> None:
    """A sentence of our own is far likelier than its words in another order, and than any token by chance."""
    assert loss(austen, LINE) < 4.0 < loss(austen, SHUFFLED) - 0.8
    assert loss(austen, LINE) < math.log(austen.tokenizer.vocab_size) / 1.8


def test_it_goes_on_in_words_of_its_language(austen: attnviz.Model) -> None:
    said = greedy(austen, "She was", 24).text
    assert set(said.replace(",", " ").replace(".", " ").split()) & {"be", "the", "to", "of", "not"}


def test_its_card_states_its_metrics(log: dict) -> None:
    card = (BUNDLED / "austen" / "README.md").read_text(encoding="utf-8")
    assert log["command"] in card and log["evaluations"][-1]["step"] == log["config"]["steps"]
    assert all(f"| {name} | {value:.4g} |" in card for name, value in log["metrics"].items())
