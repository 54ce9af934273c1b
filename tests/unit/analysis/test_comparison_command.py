"""`investigate --compare` prints what the library computes, and says in words what it cannot."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from attnviz import load
from attnviz.__main__ import main
from attnviz.analysis import comparison
from attnviz.formatting import percent
from attnviz.nn.intervention import Intervention

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


def test_one_text_in_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without another text the same one is run again, as it is asked for, or a head of the same run is beside all."""
    table, model = tmp_path / "heads.csv", load("induction")
    asked = ["investigate", HERE, "--model", "induction", "--csv", str(table)]
    change = Intervention(temperature=0.5, mask="none", scaled=False, head_scale={(0, 4): 0, (0, 1): 0})
    runs = model.run(HERE), model.run(HERE, intervention=change)
    for more, beside in (
        (["--compare-run", "off=0.4, off=0.1, temperature=0.5,no-mask,unscaled"], comparison.Sides(*runs)),
        (["--compare-head", "1.3"], comparison.Sides(runs[0], runs[0], (1, 3))),
    ):
        assert main([*asked, *more]) == 0
        with table.open(encoding="utf-8") as file:
            written = {(int(row["layer"]), int(row["head"])): float(row["elsewhere"]) for row in csv.DictReader(file)}
        expected = {head: float(found.moved.mean()) for head, found in comparison.each_head(beside)}
        assert written == pytest.approx(expected, rel=1e-5, abs=1e-9) and len(written) == 10
    assert written[1, 3] == 0 and "otherwise than layer 1, head 3" in " ".join(capsys.readouterr().out.split())


def test_what_the_model_does_not_read_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    model = load("induction")
    texts = HERE * 9, HERE * 10
    left = [len(model.tokenizer.encode(text)) - len(model.encode(text)) for text in texts]
    said = f"{left[0]} tokens of the text and {left[1]} tokens of the other one are cut off."
    for option in ("--compare", "--patch"):
        assert main(["investigate", texts[0], option, texts[1], "--model", "induction"]) == 0
        assert said in " ".join(capsys.readouterr().out.split())
    assert main(["investigate", HERE, "--compare", texts[0], "--model", "induction"]) == 0
    assert f"no more: {left[0]} tokens of the other one are cut off." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b", "--model", "induction"], "--compare takes one text beside the other one, not 2"),
        (["a", "--model", "digits"], "reads images"),
        (["a", "--model", "dates"], "reads two texts"),
        (["a", "--model", "induction", "--compare-head", "1"], "“1” is no head: name its layer and its head"),
        (["a", "--model", "induction", "--compare-head", "7.0"], "layer 7 of 2"),
        (
            ["a", "--model", "induction", "--compare-run", "cold"],
            "“cold” is no change of a run: there are causal, no-m",
        ),
        (["a", "--model", "induction", "--compare-run", "temperature=x"], "“x” is no temperature: name a number"),
        (["a", "--model", "induction", "--compare-model", "austen"], "read text in different tokens"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["investigate", *arguments, "--compare", "c"]) == 1
    assert said in capsys.readouterr().err
