"""`investigate --patch` prints what the library computes, and says in words what it cannot."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from attnviz import load
from attnviz.__main__ import main
from attnviz.analysis import outcomes, patching
from attnviz.analysis.outcomes import Lead, Likeness
from attnviz.formatting import number

PAIR = (" bird moon ship salt tree bird moon ship", " bird moon ship star tree bird moon ship")


def test_it_prints_the_heads_in_the_order_of_their_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "heads.csv"
    assert main(["investigate", PAIR[0], "--patch", PAIR[1], "--model", "induction", "--csv", str(table)]) == 0
    model = load("induction")
    here, other = map(model.run, PAIR)
    outcome = outcomes.usual(here, other)
    assert isinstance(outcome, Lead)
    base = patching.base(model.transformer, here, outcome)
    found = torch.stack([row.values for row in patching.heads(model.transformer, here, outcome, other=other)])
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["outcome"]) for row in rows] == pytest.approx(found.flatten().tolist(), rel=1e-4)
    assert [float(row["effect"]) for row in rows] == pytest.approx(
        (found - base).flatten().tolist(), rel=1e-3, abs=1e-4
    )
    said = capsys.readouterr().out
    assert f"“salt” and “star”: {number(base, 3)} on the text" in said
    first = next(line for line in said.splitlines() if line.startswith("decoder"))
    assert first.split()[:4] == ["decoder", "1", "3", number(float(found[1, 3]), 3)]
    assert "Over 10 heads the gradient goes with" in said and "Self-repair: of what layer" in said


def test_two_texts_a_change_and_tokens_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    year = ["investigate", "May 12, 2020", "--patch", "May 12, 1987", "--model", "dates"]
    assert main(year) == 0
    assert "cross        0     1" in capsys.readouterr().out
    assert main([*year, "--target", "2", "--how", "0.5", "--token", "0", "--versus", "3"]) == 0
    assert "Logit difference of “0” and “3”" in capsys.readouterr().out


def test_what_two_runs_are_compared_by() -> None:
    austen, tales = load("austen"), load("tales")
    here, other = austen.run("He was"), austen.run("She was")
    found = outcomes.usual(here, other)
    assert isinstance(found, Lead) and here.logits is not None
    assert found.token == int(here.logits[0, -1].argmax()) != found.versus and found.position == 2
    assert isinstance(outcomes.usual(tales.run("The dog."), tales.run("The cat.")), Likeness)
    assert outcomes.one_token(austen, "Darcy") == outcomes.one_token(austen, " Darcy")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["He was", "--patch", "He was not"], "3 and 4 tokens"),
        (["He was", "She was", "--patch", "It was"], "one text beside the other one, not 2"),
        (["--patch", "It was"], "not 0"),
        (["He was", "--patch", "She was", "--how", "off"], "how='off' is not one of"),
        (["He was", "--patch", "She was", "--how", "nan"], "not finite"),
        (["He was", "--patch", "She was", "--token", "he was"], "is not one token"),
        (["He was", "--patch", "She was", "--token", "he", "--versus", "he"], "no lead over itself"),
        (["a", "--patch", "b", "--model", "tales", "--token", "dog"], "only a model that predicts the next token"),
        (["a", "--patch", "b", "--model", "bergamot-en-pt"], "is not made of our layers"),
    ],
)
def test_what_cannot_be_patched_is_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = [] if "--model" in arguments else ["--model", "austen"]
    assert main(["investigate", *arguments, *model]) == 1
    assert said in capsys.readouterr().err
