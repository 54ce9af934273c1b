"""An investigation to keep: what stands in the file is what the library computes, and no text becomes HTML."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from attnviz import InvalidParameterError, Model, load
from attnviz.__main__ import main
from attnviz.analysis import cards_file, cards_text, comparison, investigation, reruns, roles
from attnviz.browser import investigation_report
from attnviz.formatting import percent
from attnviz.nn.intervention import Intervention

TEXT = '=1 <img src=x onerror="hacked=1"></script>'


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tables(page: str) -> dict[str, list[list[str]]]:
    """The CSV files that a page holds, by name."""
    links = [about for tag, about in Tags(page).tags if tag == "a" and "download" in about]
    found = {}
    for about in links:
        data = str(about["href"]).removeprefix("data:text/csv;charset=utf-8;base64,")
        found[str(about["download"])] = list(csv.reader(io.StringIO(base64.b64decode(data).decode())))
    return found


@pytest.fixture(scope="module")
def austen() -> Model:
    return load("austen")


@pytest.fixture(scope="module")
def found(austen: Model) -> investigation.Investigation:
    return investigation.investigate(austen, austen.run(TEXT), stored=cards_file.shipped("austen"), chosen=[(2, 1)])


@pytest.fixture(scope="module")
def page(found: investigation.Investigation) -> str:
    return investigation_report.html(found)


def test_every_table_is_there_with_the_numbers_of_the_library(found: investigation.Investigation, page: str) -> None:
    assert found.missing == {} and found.cards is not None and found.sweep is not None
    files = tables(page)
    known = found.cards.roles
    lines = files["roles.csv"]
    assert len(lines) == 1 + known.score.numel()
    for layer, head, name, measure, score, *_ in lines[1:]:
        assert name == known.names[int(layer)][int(head)]
        assert float(score or "nan") == pytest.approx(
            float(known.of(measure)[int(layer), int(head)]), abs=1e-4, nan_ok=True
        )
    sweep = {(int(y), int(x)): float(change) for _, y, x, _, change in files["sweep.csv"][1:]}
    assert sweep[2, 1] == pytest.approx(float(found.sweep.effects[2, 1]), rel=1e-4, abs=1e-4)
    assert found.logits is not None and found.evidence is not None and found.sweep.base is not None
    terms = [float(term) for _, term in files["attribution.csv"][1:]]
    assert sum(terms) == pytest.approx(found.sweep.base, abs=1e-3)  # the parts add up to the logit that the sweep is of
    rows = files["attention-and-cause.csv"]
    assert [float(row[rows[0].index("erasure")]) for row in rows[1:]] == pytest.approx(
        found.evidence.values["erasure"].tolist(), rel=1e-4, abs=1e-5
    )
    assert {"rank-correlations.csv", "examples-2-1.csv", "measures-2-1.csv", "reads-from-2-1.csv"} <= set(files)


def test_the_chosen_head_comes_first_and_then_those_that_tell_most(
    found: investigation.Investigation, page: str
) -> None:
    assert found.chosen[0] == (2, 1) and len(set(found.chosen)) == investigation.CHOSEN
    assert found.cards is not None
    names = found.cards.roles.names
    assert {name for row in names for name in row if name} - {"sink", "uniform"} <= {
        names[y][x] for y, x in found.chosen
    }
    assert cards_text.card(found.cards.roles, 2, 1, found.where) in page.replace("&#39;", "'")


def test_text_stays_text(page: str) -> None:
    tags = Tags(page).tags
    assert [about for tag, about in tags if tag == "img"] == []
    assert len([tag for tag, about in tags if tag == "script" and about.get("type") == "module"]) == 1
    assert len([tag for tag, _ in tags if tag == "script"]) == 3  # the view, its settings and its message
    assert [name for _, about in tags for name in about if name.startswith("on")] == []
    cells = [cell for table in tables(page).values() for row in table for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "@"))] == []


def test_what_cannot_be_said_is_said(tmp_path: Path) -> None:
    tiny = load("scratch:tiny")
    for model, trace, said in (
        (tiny, tiny.run("a"), ("no rank correlation of fewer than 4", "It has 1 token to judge heads on")),
        (load("dates"), load("dates").run("1 May 2021", "2"), ("Roles cannot be said here", "no one row of tokens")),
    ):
        made = investigation_report.html(investigation.investigate(model, trace))
        assert all(one in made for one in said) and "NaN" not in Tags(made).rawdata and 'id="sweep"' in made


def test_every_step_is_short_so_that_one_can_stop_soon(austen: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reruns, "MOST_TOKENS", 1)
    trace = austen.run(TEXT)
    stored, sides = cards_file.shipped("austen"), comparison.Sides(trace, trace)
    steps = list(investigation.investigating(austen, trace, stored=stored, beside=lambda: sides))
    assert steps == sorted(steps)
    counts = {investigation.PARTS[step]: steps.count(step) - 1 for step in set(steps)}
    n_layers, n_heads, n = len(trace.layers), trace.config.n_heads, trace.lengths[0]
    assert counts["each head switched off"] == n_layers  # the heads of one are a batch
    assert counts["what heads read from"] == investigation.CHOSEN - 1  # a text each
    assert counts["the flow of attention"] == n and counts["each token erased"] == n
    assert counts["integrated gradients"] >= 8
    assert counts["what it is compared with"] == n_layers * n_heads


def test_an_image_has_all_but_roles() -> None:
    digits = load("digits")
    made = investigation.investigate(digits, digits.run(np.eye(8, dtype=np.float32)[None]))
    assert set(made.missing) == {"cards"} and made.sweep is not None and made.logits is not None
    assert (
        "Digits reads images: roles are told by the order and the kind of words, which images do not have"
        in investigation_report.html(made)
    )


def test_a_model_without_logits_has_distances(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept.html"
    main(["report", "The cat sat.", "--investigate", "--model", "minilm", "--heads", "1.9", "--out", str(out)])
    assert "opens without a network" in capsys.readouterr().out
    page, stored = out.read_text("utf-8"), cards_file.shipped("minilm")
    assert stored is not None and "it has no logits to split" in page
    number = roles.MEASURES.index("previous")
    assert percent(float(stored.cards.roles.score[number, 1, 9])) in page and "Layer 1, head 9" in page
    assert all(0 <= float(row[-1]) < 2 for row in tables(page)["sweep.csv"][1:])


def test_another_text_is_compared_by_every_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, there = " bird moon ship salt tree bird moon ship", " bird moon ship tree <b>bird moon"
    out, model = tmp_path / "kept.html", load("induction")
    asked = ["report", here, "--investigate", "--model", "induction", "--out", str(out)]
    assert main([*asked, "--compare", there, "--heads", "1.3"]) == 0
    page, runs = out.read_text("utf-8"), (model.run(here), model.run(there))
    files = tables(page)
    expected = {(y, x): comparison.compare(runs[0], (y, x), runs[1], (y, x)) for y in range(2) for x in range(5)}
    for layer, head, elsewhere, query, key, a, b in files["comparison.csv"][1:]:
        found = expected[int(layer), int(head)]
        (cell,) = comparison.strongest(found, 1)
        assert (int(query), int(key)) == (cell.query[0], cell.key[0])
        numbers = float(found.moved.mean()), cell.a, cell.b
        assert [float(one) for one in (elsewhere, a, b)] == pytest.approx(numbers, rel=1e-4, abs=1e-6)
    chosen, cells = expected[1, 3], files["comparison-1-3.csv"][1:]
    assert len(cells) == len(chosen.pairs) ** 2
    assert [[int(row[i]) for i in (0, 1)] for row in cells[:: len(chosen.pairs)]] == [list(one) for one in chosen.pairs]
    for column, weights in ((6, chosen.a), (7, chosen.b)):
        assert [float(row[column]) for row in cells] == pytest.approx(weights.flatten().tolist(), rel=1e-4, abs=1e-6)
    assert f"spends {percent(float(chosen.moved.mean()))} of its attention" in page
    assert "A is the run above. B is another text." in page
    assert 'href="#comparison"' in page and "<b>bird" not in page.split("</section>")[0].split("</style>")[1]
    assert main(asked) == 0 and 'id="comparison"' not in out.read_text("utf-8")
    capsys.readouterr()
    assert main(["report", "12 May 2020", "--investigate", "--model", "dates", "--compare", "x"]) == 1
    assert "Dates reads two texts" in capsys.readouterr().err
    assert main(["report", here, "--compare", there]) == 1
    assert "--heads and --compare are of --investigate" in capsys.readouterr().err
    dates = load("dates")
    runs = [dates.run(text, "2") for text in ("1 May 2021", "2 May 2021")]
    made = investigation.investigate(dates, runs[0], beside=lambda: comparison.Sides(*runs))
    assert "Dates reads no single text to lay beside another" in investigation_report.html(made)


@pytest.mark.parametrize(
    ("asked", "change", "head", "said"),
    [
        (
            ["--compare-run", "off=0.4"],
            Intervention(head_scale={(0, 4): 0}),
            None,
            "B is the same text, changed: layer",
        ),
        (["--compare-run", "no-mask,temperature=2"], Intervention(mask="none", temperature=2), None, "temperature 2"),
        (["--compare-head", "0.4"], None, (0, 4), "elsewhere than layer 0, head 4 in B"),
    ],
)
def test_another_run_or_head_is_compared_by_every_head(
    tmp_path: Path, asked: list[str], change: Intervention | None, head: tuple[int, int] | None, said: str
) -> None:
    text, out, model = " bird moon ship salt tree bird moon ship", tmp_path / "kept.html", load("induction")
    asked = ["report", text, "--investigate", "--model", "induction", "--out", str(out), *asked]
    assert main([*asked, "--heads", "1.3"]) == 0
    page, runs = out.read_text("utf-8"), (model.run(text), model.run(text, intervention=change))
    assert said in page and "“A”" not in page and "What differs between A and B?" in page
    for layer, number, elsewhere, *_ in tables(page)["comparison.csv"][1:]:
        place = int(layer), int(number)
        found = comparison.compare(runs[0], place, runs[1], head or place)
        assert float(elsewhere) == pytest.approx(float(found.moved.mean()), rel=1e-4, abs=1e-6)
    assert "comparison-1-3.csv" in tables(page)


def test_another_model_with_the_same_tokens_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept.html"
    asked = ["report", "a cat", "--investigate", "--model", "scratch:tiny", "--out", str(out), "--compare-model"]
    assert main([*asked, "scratch:bert", "--compare-head", "3.3"]) == 0
    page, a, b = out.read_text("utf-8"), load("scratch:tiny"), load("scratch:bert")
    assert f"B is the same text in {b.info.title}." in page
    found = comparison.compare(a.run("a cat"), (1, 0), b.run("a cat"), (3, 3))
    assert [float(row[2]) for row in tables(page)["comparison.csv"][1:] if row[:2] == ["1", "0"]] == [
        pytest.approx(float(found.moved.mean()), rel=1e-4)
    ]
    for more, why in (
        (["austen"], "read text in different tokens: they cannot be laid side by side"),
        (["scratch:bert"], "heads: name the one that all are laid beside"),
        (["scratch:bert", "--compare-head", "6.0"], "layer 6 of 4 (counted from 0)"),
        (["digits"], "reads images"),
    ):
        capsys.readouterr()
        assert main([*asked, *more]) == 1 and why in capsys.readouterr().err


@pytest.mark.parametrize("written", ["1", "one.two", "1.9;2"])
def test_a_head_is_named_by_layer_and_head(written: str) -> None:
    with pytest.raises(InvalidParameterError, match="is no head"):
        investigation.heads_in(written)
    assert investigation.heads_in("1.9, 3.2") == ((1, 9), (3, 2))


@pytest.fixture
def offline(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 900}, accept_downloads=True)
    opened, trouble = context.new_page(), []
    opened.on("console", lambda message: message.type in ("error", "warning") and trouble.append(message.text))
    opened.on("pageerror", lambda error: trouble.append(str(error)))
    opened.on("request", lambda request: request.url.startswith("http") and trouble.append(request.url))
    yield opened
    context.close()
    assert trouble == []


@pytest.mark.nightly
def test_it_opens_offline(offline: Page, tmp_path: Path, page: str) -> None:
    file = tmp_path / "kept.html"
    file.write_text(page, "utf-8")
    offline.goto(file.as_uri())
    offline.wait_for_selector("#attnviz-view[data-ready=true]")
    assert offline.evaluate("window.hacked") is None
    expect(offline.get_by_role("heading", name="What is each head for?")).to_be_visible()
    with offline.expect_download() as saving:
        offline.get_by_role("link", name="sweep.csv").click()
    saved = Path(saving.value.path()).read_text("utf-8")
    assert list(csv.reader(io.StringIO(saved))) == tables(page)["sweep.csv"]
    for size, dark in (((1440, 900), "light"), ((390, 844), "dark")):
        offline.set_viewport_size({"width": size[0], "height": size[1]})
        offline.emulate_media(color_scheme=dark)  # type: ignore[arg-type]
        assert offline.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    assert re.search(r"Layer 2, head 1", offline.locator(".inv article").first.inner_text())
