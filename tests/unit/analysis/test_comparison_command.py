"""`investigate --compare` prints what the library computes, and says in words what it cannot."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from attnviz import load
from attnviz.__main__ import main
from attnviz.analysis import comparison
from attnviz.formatting import percent

HERE, THERE = " bird moon ship salt tree bird moon ship", " bird moon ship tree bird moon ship"


def test_it_prints_the_heads_that_look_elsewhere_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "heads.csv"
    arguments = ["investigate", HERE, "--compare", THERE, "--model", "induction", "--csv", str(table)]
    assert main(arguments) == 0
    model = load("induction")
    here, there = model.run(HERE), model.run(THERE)
    found = {
        (y, x): comparison.compare(here, (y, x), there, (y, x)) for y, row in enumerate(here.layers) for x in range(5)
    }
    with table.open(encoding="utf-8") as file:
        rows = {(int(row["layer"]), int(row["head"])): row for row in csv.DictReader(file)}
    assert rows.keys() == found.keys()
    for place, row in rows.items():
        (cell,) = comparison.strongest(found[place], 1)
        expected = (float(found[place].moved.mean()), cell.query[0], cell.key[0], cell.a, cell.b)
        numbers = [float(row[name]) for name in ("elsewhere", "query", "key", "text", "other")]
        assert numbers == pytest.approx(expected, rel=1e-5, abs=1e-9)
    said = capsys.readouterr().out
    most = max(found, key=lambda place: float(found[place].moved.mean()))
    line = said.splitlines()[2].split()
    assert (int(line[0]), int(line[1])) == most
    assert percent(float(found[most].moved.mean())) in said.splitlines()[2]
    assert "The texts have 8 tokens in common, of 9 and 8." in said
    assert main(["investigate", HERE, "--compare", HERE, "--model", "induction"]) == 0
    assert "none" in capsys.readouterr().out.splitlines()[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b", "--model", "induction"], "--compare takes one text beside the other one, not 2"),
        (["a", "--model", "digits"], "reads images"),
        (["a", "--model", "dates"], "reads two texts"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["investigate", *arguments, "--compare", "c"]) == 1
    assert said in capsys.readouterr().err
