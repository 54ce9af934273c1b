"""The page "What if?" through AppTest: what it says is what the library computes, for every pair that it offers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from attnviz import load
from attnviz.analysis import cell_removal, outcomes, patching, patching_gradient, self_repair, sites
from attnviz.analysis.outcomes import Lead, Likeness, Probability
from attnviz.formatting import number, percent
from attnviz.web import store
from attnviz.web.jobs import slices
from attnviz.web.what_if import presets, sweep, text
from attnviz.web.what_if.presets import PRESETS
from tests.pages.driver import Page, charts, numbers, opened, values

AUSTEN = next(one for one in PRESETS if one.label == "Austen: which Mr.?")
QUICK = [one for one in PRESETS if one.model != "minilm"]


@pytest.fixture(scope="module", autouse=True)
def whole() -> Any:
    """A sweep is one slice, so that a test need not wait for the clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SECONDS", 60)
        yield


@pytest.fixture(scope="module")
def page() -> Page:
    return at(AUSTEN)


def at(preset: presets.Preset, **more: object) -> Page:
    given = {name: value for name, value in preset.settings.items() if value not in ("", -1)}
    return opened("what_if", **{"model": preset.model, "text": preset.text} | given | more)


def rows(app: Page, label: str) -> list[list[list[str]]]:
    (found,) = (one for one in values(app, "attnviz_table") if one["label"] == label)
    return [row["cells"] for row in found["rows"]]


def library(preset: presets.Preset, hidden: int = -1) -> tuple[Any, Any, Any]:
    """The model and the two runs of a pair, made without the page."""
    model = load(preset.model)
    runs = []
    for source in (preset.text, preset.other):
        ids = list(model.encode(source).ids)
        if hidden >= 0:
            ids[hidden] = model.tokenizer.mask_id
        two = model.transformer.config.kind == "encoder-decoder"
        runs.append(model.run(source, preset.answer) if two else model.run(ids))
    return model, *runs


def test_a_text_that_begins_a_pair_brings_its_other_text() -> None:
    film = PRESETS[1]
    app = opened("what_if", text=film.text)
    model, here, other = library(film)
    outcome = Likeness(outcomes.vector(other))
    base = patching.base(model.transformer, here, outcome)
    after = torch.stack([row.values for row in patching.heads(model.transformer, here, outcome, other=other)])
    y, x = divmod(int((after - base).abs().argmax()), 12)
    assert (
        app.sentence
        == f"With no head changed, the cosine with the other text is {number(base, 3)}; 1.000 would be the "
        "same vector."
    )
    goes = f"the cosine with the other text goes from {number(base, 3)} to"
    assert f"layer {y}, head {x} matters most when given its output on the other text: {goes}" in app.prose
    maps, stream, dots = charts(app)
    share = (after - base) / (1 - base)
    expected = share.sign() * (share.abs() / max(1.0, float(share.abs().max()))).sqrt()
    np.testing.assert_allclose(np.array(numbers(maps["data"][0]["z"]), dtype=float), expected.numpy(), atol=1e-3)
    assert np.array(numbers(stream["data"][0]["z"])).shape == (6, 7) and len(dots["data"][1]["x"]) == 72
    assert app.link == {"text": film.text, "other": film.other, "measure": "likeness"}


def test_the_sentences_are_the_librarys_numbers(page: Page) -> None:
    model, here, other = library(AUSTEN)
    outcome = Lead(model.encode(" Darcy").ids[-1], model.encode(" Collins").ids[-1])
    a, b = (patching.base(model.transformer, one, outcome) for one in (here, other))
    after = torch.stack([row.values for row in patching.heads(model.transformer, here, outcome, other=other)])
    assert (
        "layer 2, head 1 matters most when given its output on the other text: "
        f"the lead of “Darcy” over “Collins” goes from {number(a)} to "
        f"{number(float(after[2, 1]))}, {percent((float(after[2, 1]) - a) / (b - a))} of the way to the other text’s "
        f"{number(b)}." in page.prose
    )
    exact, near = after - a, patching_gradient.heads(model.transformer, here, outcome, other=other)
    found = patching_gradient.correlation(exact, near)
    assert f"over 16 heads it goes with the exact effects at r = {number(found.pearson)}" in page.prose
    repair = self_repair.of_heads(model.transformer, here, outcome)
    assert f"put back {percent(float(repair.repaired[2, 1]))} of it: self-repair" in page.prose
    cells = cell_removal.of_head(model.transformer, here, outcome, sites.Site("decoder", 2), 1)
    table = rows(page, "Cells of this head, each removed alone")
    assert [row[1] for row in table] == [[percent(one.weight)] for one in cells]
    labels = here.encodings[0].labels
    (first, *_), name = cells, lambda i: labels[i] if labels.count(labels[i]) == 1 else f"{labels[i]} ({i})"
    assert table[0][0] == [f"{name(first.query)} → {name(first.key)}"] and "(" in str([row[0] for row in table])
    assert table[0][2:] == [[number(cells[0].cut)], [number(cells[0].blocked)]]


def test_a_head_is_changed_at_one_token() -> None:
    induction = next(one for one in PRESETS if one.label == "Induction: which word is copied?")
    model, here, other = library(induction)
    salt = here.encodings[0].labels.index("salt")
    app = at(induction, at=salt, layer=0, head=4)
    outcome = Lead(*(model.encode(word).ids[-1] for word in (" salt", " star")))
    before = patching.base(model.transformer, here, outcome)
    (first, *_) = patching.heads(model.transformer, here, outcome, other=other, at=[salt])
    after = float(first.values[4])
    assert after != before
    numbers_now = f"the lead of “salt” over “star” is {number(after)} instead of {number(before)}"
    assert f"With this head given its output on the other text at “salt”, {numbers_now}" in app.prose
    assert app.link["at"] == str(salt) and opened("what_if", **app.link).prose == app.prose
    assert "at" not in app.choose(at=-1).link and "at “salt”" not in app.prose


def test_a_click_chooses_a_head() -> None:
    app = at(AUSTEN)
    app.session_state["what-if:clicked"] = (3, 0)
    app.run()
    assert any(one.value == "Layer 3, head 0" for one in app.header)
    assert app.link["layer"] == "3" and app.link["head"] == "0"


@pytest.mark.parametrize("preset", QUICK, ids=lambda one: one.label)
def test_every_pair_shows_what_it_promises(preset: presets.Preset) -> None:
    """Its two texts differ, and the head that it opens on is the one that does most, or the second."""
    app = at(preset)
    maps = charts(app)[0]
    assert "By size that is number 1 of" in app.prose or "By size that is number 2 of" in app.prose
    assert maps["layout"]["shapes"] and "NaN" not in app.prose
    again = opened("what_if", **app.link)
    assert again.prose == app.prose and again.link == app.link


def test_a_hidden_word_and_two_texts_are_measured_as_the_library_does() -> None:
    tales = next(one for one in PRESETS if one.model == "tales")
    model, here, _ = library(tales, hidden=6)
    licks = Lead(*(model.encode(word).ids[1] for word in (" licks", " lick")), position=6)  # type: ignore[misc]
    assert f"is {number(patching.base(model.transformer, here, licks))} on your text" in at(tales).sentence
    dates = next(one for one in PRESETS if one.model == "dates")
    model, here, _ = library(dates)
    two = Probability(model.encode("2").ids[1], 0)
    said = percent(patching.base(model.transformer, here, two))
    app = at(dates, measure="probability", versus="")
    assert f"the probability of “2” is {said} on your text" in app.sentence
    assert charts(app)[0]["layout"]["yaxis"]["ticktext"] == ["encoder 0", "decoder 0", "cross 0"]


def test_what_removal_does_to_the_circuit_stands_there() -> None:
    app = at(next(one for one in PRESETS if one.how == "zero"))
    assert (
        "layer 1, head 3 matters most when switched off: the probability of “salt” goes from 98\u202f% to 0.6\u202f%"
        in app.prose
    )
    assert "the probability of “salt” is 2.7\u202f% instead of 97.7\u202f%" in app.prose


@pytest.mark.parametrize("how", ["freeze", "mean", "uniform", "scale"])
def test_other_changes(how: str, page: Page) -> None:
    app = page.choose(how=how)
    assert text.does_when(how, 0.5) in app.prose and app.link["how"] == how
    page.choose(how="patch")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "austen", "text": "He was", "other": "He was not"}, "Your text has 3 tokens and the other one 4:"),
        ({"model": "austen", "text": "He was", "other": "He was not", "how": "zero"}, text.NO_STREAM),
        ({"model": "austen", "text": "He was"}, "Type another text of equally many tokens"),
        ({"model": "austen", "text": "H", "other": "I", "measure": "loss"}, "on your text and"),
        ({"model": "austen", "text": "He was", "how": "zero", "token": " he was"}, "is not one token of this model"),
        ({"model": "austen", "text": "He", "how": "zero", "token": " he", "versus": " he"}, "no lead over itself"),
        ({"model": "dates", "text": "1", "other": "2", "measure": "loss"}, "Type the answer whose loss"),
        ({"model": "scratch:tiny", "text": "a dog", "how": "zero"}, "text as it was: it stays 1.000"),
        ({"model": "digits"}, "Digits reads images; this page shows a text. Pick another model."),
        ({"model": "bergamot-en-pt", "text": "a", "other": "b"}, "is not made of our layers"),
        ({"model": "scratch:tiny", "text": "a", "other": "a"}, "visibly changes the cosine with the other text"),
    ],
)
def test_what_cannot_be_said_is_said(fields: dict[str, Any], said: str) -> None:
    app = opened("what_if", **fields)
    assert said in app.prose and "NaN" not in app.prose


@pytest.mark.parametrize("model", ["digits", "bergamot-en-pt"])
def test_a_model_that_the_page_cannot_run_leaves_the_way_to_a_pair(model: str) -> None:
    app = opened("what_if", model=model, text="The house is small.")
    assert app.prose.endswith(("Pick another model.", "Pick another model, or try one of these pairs."))
    app.press("MiniLM\\: a good film")
    assert app.session_state["model"] == "minilm" and "matters most" in app.prose


def test_a_sweep_goes_on_in_slices_and_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SECONDS", 1e-9)
    monkeypatch.setattr(slices, "AT_ONCE", 1e-9)
    app = at(AUSTEN)
    assert app.get("progress") and "changes have run …" in str(app.get("progress")[0].proto)
    app.button(key="what-if-cancel").click().run()
    assert text.CANCELLED in app.prose and not app.exception
    app.button(key="what-if-again").click().run()
    while "what-if:running" in app.session_state:
        app.run()
    assert "layer 2, head 1 matters most" in app.prose and text.CANCELLED not in app.prose


@pytest.mark.parametrize(
    ("work", "said", "cancelled"),
    [
        (sweep.CELL_WORK, "removals of one cell have run …", text.NOT_REMOVED),
        (sweep.REPAIR, "heads have been switched off …", text.NOT_SWITCHED_OFF),
    ],
)
def test_cells_and_self_repair_go_on_in_slices_and_can_be_cancelled(
    work: Any, said: str, cancelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, names = at(AUSTEN).prose, (sweep.JOB, sweep.CELL_WORK.name, sweep.REPAIR.name)
    store.STORE.clear(work.name)
    monkeypatch.setattr(slices, "SECONDS", 1e-9)
    monkeypatch.setattr(slices, "AT_ONCE", 1e-9)
    app = at(AUSTEN)
    assert said in " ".join(str(bar.proto) for bar in app.get("progress"))
    app.button(key=f"{work.name.replace(':', '-')}-cancel").click().run()
    assert cancelled in app.prose and said not in " ".join(str(bar.proto) for bar in app.get("progress"))
    app.button(key=f"{work.name.replace(':', '-')}-again").click().run()
    while any(f"{name}:running" in app.session_state for name in names):
        app.run()
    assert app.prose == whole


def test_the_chosen_head_stands_beside_the_one_that_does_most() -> None:
    app = opened("what_if", model="minilm", text="Birds sing at noon.", how="zero", layer=2, head=4)
    assert app.sentence.startswith("Of 72 heads, layer ")  # a text is like itself: that is not said
    found, after = app.prose, "With this head switched off, the cosine with the text as it was is "
    change = re.search(after + r"[\d.]+ instead of 1.000 \((.+?)\). By size that is number (\d+) of 72 heads", found)
    assert change is not None
    own = f"The chosen head, layer 2, head 4, changes it by {change[1]}: number {change[2]} of 72 by size."
    assert own in app.sentences
    most = re.search(r"layer (\d+), head (\d+) matters most when switched off", app.sentence)
    assert most is not None
    assert "The chosen head" not in app.choose(layer=int(most[1]), head=int(most[2])).prose


def test_what_a_stranger_asks_for_is_bounded() -> None:
    app = opened(
        "what_if",
        model="induction",
        text=" bird moon",
        other=" bird star",
        layer=400,
        head=99,
        how="all",
        factor=9,
        measure="x",
        position=10**9,
        place="nowhere",
    )
    assert (app.link["layer"], app.link["head"]) == ("1", "4") and app.session_state["what_if.how"] == "patch"


def test_another_text_that_is_too_long_is_said_and_stays() -> None:
    app = opened("what_if")
    app.session_state["what_if.other"] = typed = "a" * 100_001
    app.run()
    assert "The other text has 100,001 characters; at most 100,000 can be read. It stays in its field" in app.prose
    assert app.session_state["what_if.other"] == typed


def test_a_model_of_two_texts_stands_in_the_sidebar_by_its_title() -> None:
    app = opened("what_if", model="dates", text="1 May 2021")
    (chosen,) = [one for one in app.sidebar.selectbox if one.label == "Model"]
    assert chosen.value == "dates" and chosen.options[-1] == "Dates (1 × 4 heads)"


def test_both_texts_are_cut_alike_and_it_is_said() -> None:
    """64 tokens of the reader's text beside 64 of the other one, of however many each has."""
    here = presets.KEYS.format("salt") * 9
    app = opened("what_if", model="induction", text=here, other=here.replace("salt", "star") + " moon", measure="lead")
    n_whole = len(load("induction").tokenizer.encode(here))
    assert n_whole > 64
    said = [
        f"This page shows the first 64 tokens of your text; {n_whole - 64} more are left out here, not in the sidebar.",
        f"This page reads the first 64 tokens of the other text; {n_whole - 63} more are left out.",
    ]
    assert [one.value for one in app.caption if "left out" in one.value] == said and not app.notices
    assert np.array(numbers(charts(app)[1]["data"][0]["z"])).shape == (2, 64)  # the stream of both
    assert "left out" not in str([one.value for one in at(AUSTEN).caption])
