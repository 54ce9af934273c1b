"""`investigate --attributions` prints what the library computes, and says in words what it cannot."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from attnviz import load
from attnviz.__main__ import main
from attnviz.analysis import evidence, predictions
from attnviz.formatting import csv_cell, number

NOVEL = "It is a truth universally"


def test_it_prints_all_measures_and_their_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "tokens.csv"
    arguments = ["investigate", NOVEL, "--attributions", "--model", "austen", "--layer", "2", "--token", "be"]
    assert main([*arguments, "--csv", str(table)]) == 0
    model = load("austen")
    trace = model.run(NOVEL)
    asked = predictions.predicted(trace, model.encode(" be").ids[1])
    found = evidence.gathered(model, trace, asked, layer=2)
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["token"] for row in rows] == list(trace.encodings[0].labels)
    assert [row["compared"] for row in rows] == ["False", *["True"] * (len(rows) - 1)]
    for method in evidence.METHODS:
        expected = found.values[method].tolist()
        assert [float(row[method]) for row in rows] == pytest.approx(expected, rel=1e-3, abs=1e-4), method
    said = capsys.readouterr().out
    assert f"the logit of “be” at position {len(rows) - 1}, " in said and "0  [BOS]" in said
    compared = found.compared("gradient")
    assert compared is not None and f"Order of {len(rows) - 1} tokens against" in said
    line = next(line for line in said.splitlines() if line.strip().startswith("gradient  "))
    assert number(compared[0].value) in line and number(compared[1].value) in line


def test_no_token_is_a_formula_in_its_file(tmp_path: Path) -> None:
    table = tmp_path / "tokens.csv"
    text = '=HYPERLINK("x") +1 -2 @SUM'
    assert main(["investigate", text, "--attributions", "--model", "tales", "--csv", str(table)]) == 0
    with table.open(encoding="utf-8", newline="") as file:
        tokens = [row["token"] for row in csv.DictReader(file)]
    assert tokens == [csv_cell(label) for label in load("tales").run(text).encodings[0].labels]
    assert {"'=", "'+", "'-", "'@"} <= {token[:2] for token in tokens}


def test_a_hidden_word_and_few_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["investigate", "The cat saw it.", "--attributions", "--model", "tales", "--hide", "2"]) == 0
    said = capsys.readouterr().out
    assert "at position 2" in said and "2  [MASK]" in said
    assert main(["investigate", "a", "--attributions", "--model", "scratch:tiny"]) == 0
    said = capsys.readouterr().out
    assert (
        "the embedding along its own direction" in said
        and "1 token to compare: no rank correlation of fewer than 4" in said
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b"], "--attributions takes one text, not 2"),
        (["a", "--layer", "9"], "layer 9 of 2"),
        (["a", "--hide", "7"], "position 7 of 3"),
    ],
)
def test_what_cannot_be_explained_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["investigate", *arguments, "--attributions", "--model", "scratch:tiny"]) == 1
    assert said in capsys.readouterr().err
