"""The page "Heads" through AppTest: what it says is what the library computes, and where it leads shows the same."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest

from attnviz import Model, load
from attnviz.analysis import cards, cards_file, cards_text, copying, known_answers, roles
from attnviz.formatting import percent
from attnviz.web import store
from attnviz.web.heads import text, work
from attnviz.web.jobs import slices
from tests.pages.driver import SENTENCE, Page, charts, header, numbers, opened, values, views


@pytest.fixture(scope="module")
def minilm() -> Model:
    return load("minilm")


@pytest.fixture(scope="module")
def page() -> Page:
    return opened("heads")


def rows(app: Page, label: str) -> list[list[list[str]]]:
    """The cells of a table."""
    (found,) = (one for one in values(app, "attnviz_table") if one["label"] == label)
    return [row["cells"] for row in found["rows"]]


def test_opens_on_minilms_heads_over_many_texts(page: Page) -> None:
    stored = cards_file.shipped("minilm")
    assert stored is not None
    named = [name for row in stored.cards.roles.names for name in row if name]
    start = f"On 300 texts in ten languages, {len(named)} of MiniLM’s 72 heads have a role: "
    assert page.sentence.startswith(start) and f"{named.count('previous')} previous" in page.sentence
    heads, scatter = charts(page)
    kinds = np.array(numbers(heads["data"][0]["z"]))
    assert kinds.shape == (6, 12) and int((kinds > 0).sum()) == len(named)
    assert scatter["data"][0]["x"] == pytest.approx(stored.cards.roles.of("previous").flatten().tolist())
    assert scatter["data"][0]["y"] == pytest.approx(stored.cards.roles.of("sink").flatten().tolist())


def test_the_card_says_share_interval_and_chance(page: Page) -> None:
    stored = cards_file.shipped("minilm")
    assert stored is not None
    found, place = stored.cards.roles, (roles.MEASURES.index("previous"), 1, 9)
    score, low, high, chance = (percent(float(x[place])) for x in (found.score, found.low, found.high, found.chance))
    assert found.names[1][9] == "previous"
    rest = percent(1 - float(found.at_work[place]))
    rests = f"{rest} of its attention rests on the first token, special tokens and the token itself;"  # 57 % without it
    assert f"looks at the token just before. {rests}" in page.prose
    said = f"; {score} of the other attention goes there (95\u202f% interval {low} to"
    assert said in page.prose and f"even attention: {chance})" in page.prose
    assert rows(page, "All measures of this head")[0] == [
        [cards_text.MEASURES["previous"]],
        [score],
        [f"{low} – {high}"],
        [chance],
    ]
    lost = stored.cards.lost
    assert (
        lost is not None
        and f"move by {percent(float(lost.moved[1, 9]))} of their norm, on 20 of these texts" in page.prose
    )


def test_an_example_opens_in_explore_with_the_same_number(page: Page, minilm: Model) -> None:
    stored = cards_file.shipped("minilm")
    assert stored is not None
    best = stored.cards.examples[1][9][0]
    link = page.get("page_link")[0]
    query = dict(part.split("=", 1) for part in link.proto.query_string.split("&"))
    assert (query["layer"], query["head"], query["q"], query["k"]) == ("1", "9", str(best.query), str(best.key))
    weight = minilm.run(stored.texts[best.text]).layers[1].attention.weights[0, 9, best.query, best.key]
    assert rows(page, "Examples, the best first")[0][3] == [percent(float(weight))]
    app = opened("explore", text=stored.texts[best.text], layer=1, head=9, q=best.query, k=best.key)
    (data, message), *_ = views(app)
    assert data["state"]["queries"] == [best.query] and data["state"]["key"] == best.key
    assert header(message)["text"] == stored.texts[best.text]
    # and back: Explore says of every head what its card says
    assert data["cards"][1][9].startswith("Layer 1, head 9 looks at the token just before: ")


def test_the_score_is_split_over_what_wrote_it(page: Page) -> None:
    stored = cards_file.shipped("minilm")
    assert stored is not None
    best = stored.cards.examples[1][9][0]
    for number in (0, 1):
        (found,) = (
            one
            for one in values(page, "attnviz_table")
            if one["label"].startswith(("Written into the key", "Written into the query")[number])
        )
        terms = [float(row["cells"][1][0].replace("−", "-")) for row in found["rows"]]
        assert sum(terms) == pytest.approx(float(page.prose.split("by a score of ")[1].split(". ")[0]), abs=0.05)
    assert best.key != best.query


def test_the_head_that_a_score_was_written_by_is_one_click_away() -> None:
    app = opened("heads", model="induction", layer=1, head=3)
    (first,) = [table for table in values(app, "attnviz_table") if table["label"].startswith("Written into the key")]
    wrote = first["rows"][0]["cells"][0][0]
    assert wrote == "layer 0, head 4"  # the head before
    app.press(f"What is {wrote} for?")
    assert (app.link["layer"], app.link["head"]) == ("0", "4") and "Layer 0, head 4" in app.prose


def test_every_head_that_a_score_was_written_by_opens_in_explore_at_the_token_it_wrote_into() -> None:
    stored = cards_file.shipped("austen")
    assert stored is not None
    best = stored.cards.examples[2][1][0]
    app = opened("heads", model="austen", layer=2, head=1)
    for number, (side, token) in enumerate({"key": best.key, "query": best.query}.items()):
        (found,) = [one for one in values(app, "attnviz_table") if one["label"].startswith(f"Written into the {side}")]
        assert found["chosen"] == next(row["key"] for row in found["rows"] if row["key"])  # the strongest
        names = {row["key"]: row["cells"][0][0] for row in found["rows"] if ", head " in row["cells"][0][0]}
        assert len(names) > 2 and {row["key"] for row in found["rows"]} == {"", *names}  # a network is read, not chosen
        for key, name in names.items():
            app.session_state[f"heads-reads-{number}"] = {"chosen": {"key": key, "number": 1}}
            app.run()
            opens = [one.proto for one in app.get("page_link") if one.proto.label == f"Open {name} in Explore"]
            queries = [dict(parse_qsl(one.query_string)) for one in opens]
            place = {"layer": key.split(".")[0], "head": key.split(".")[1], "q": str(token)}
            assert {"model": "austen", "text": stored.texts[best.text]} | place in queries
            assert f"What is {name} for?" in [one.label for one in app.button]
    app.session_state["heads-reads-1"] = {"chosen": {"key": "9.9", "number": 2}}
    assert next(row["key"] for row in found["rows"] if row["key"]) == values(app.run(), "attnviz_table")[-1]["chosen"]


def test_on_the_readers_text(minilm: Model) -> None:
    app = opened("heads", on="text", layer=3, head=3)
    found = cards.of_trace(minilm, minilm.run(SENTENCE))
    assert app.sentence == cards_text.summary("MiniLM", found.roles.names, "your text")
    assert any("It has 14 tokens to judge heads on" in one.value for one in app.caption)
    examples = rows(app, "Examples, the best first")
    assert [row[1] for row in examples] == [[percent(one.share)] for one in found.examples[3][3]]
    assert app.link == {"on": "text", "layer": "3", "head": "3"}


def test_another_head_example_and_measure_stand_in_the_link() -> None:
    app = opened("heads", model="austen").choose(layer=2, head=1, across="induction", example=2)
    assert app.link == {"model": "austen", "layer": "2", "head": "1", "across": "induction", "example": "2"}
    assert "looks at what followed the same token elsewhere" in app.prose
    again = opened("heads", **app.link)
    assert again.prose == app.prose
    # an induction head finds its key by what the previous-token head wrote there
    first = opened("heads", model="austen", layer=2, head=1)
    assert "was written by: layer 1, head 3" in first.prose


def test_of_one_head_it_is_said_that_it_has_a_role() -> None:
    app = opened("heads", model="tales", text="qwxz qwxz", on="text")
    assert app.sentence == "On your text, 1 of Tales’s 6 heads has a role: 1 uniform."


def test_a_head_without_a_role_says_what_is_missing() -> None:
    app = opened("heads", layer=5, head=0)
    assert "layer 5, head 0 has no clear role. The closest" in app.prose and "a role takes 50\u202f%" in app.prose


def test_a_model_of_two_texts_shows_where_its_answers_are_known() -> None:
    app = opened("heads", model="dates", layer=0, head=1)
    (table,) = values(app, "attnviz_table")
    rows = [[cell[0] for cell in row["cells"]] for row in table["rows"]]
    expected = [
        [one.what, f"layer {one.layer}, head {one.head}", percent(one.score)] for one in known_answers.of_model("dates")
    ]
    assert len(rows) == 3 and [row[:3] for row in rows] == expected and table["chosen"] == "0"
    assert text.OTHERS in app.prose and app.link == {"model": "dates", "layer": "0", "head": "1"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "digits"}, "Digits reads images"),
        ({"model": "bergamot-en-pt"}, "reads two texts"),
        ({"on": "text", "text": "a"}, "It has 1 token to judge heads on"),
        ({"model": "scratch:tiny"}, text.NOT_JUDGED),
    ],
)
def test_what_cannot_be_said_is_said(fields: dict[str, Any], said: str) -> None:
    app = opened("heads", **fields)
    assert said in app.prose and "NaN" not in app.prose


def test_a_model_without_cards_is_judged_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    from attnviz.inputs import sample

    few = sample.sample()[:12]
    for module in ("attnviz.web.heads.state", "attnviz.web.heads.parts"):
        monkeypatch.setattr(f"{module}.sample", lambda: few)
    app = opened("heads", model="scratch:tiny")
    monkeypatch.setattr(slices, "SECONDS", 0.0)  # a text at a time
    app.press("Judge them on 12 texts")
    assert app.get("progress") and text.NOT_JUDGED in app.prose
    app.press("Cancel")
    assert not app.get("progress") and text.NOT_JUDGED in app.prose
    app.press("Judge them on 12 texts")
    while app.get("progress"):
        app.run()
    assert app.sentence.startswith("On 12 texts") and text.NOT_JUDGED not in app.prose


def test_what_a_stranger_asks_for_is_bounded() -> None:
    app = opened("heads", layer=400, head=99, across="nonsense", on="everything", example=77)
    assert app.link == {"layer": "5", "head": "11"}
    json.dumps(app.prose)


def test_where_answers_are_known_the_best_heads_stand_and_can_be_chosen(page: Page) -> None:
    app, label = opened("heads", model="tales"), "The best head for each question whose answer is known"
    found = known_answers.of_model("tales")
    assert [row[:3] for row in rows(app, label)] == [
        [[one.what], [f"layer {one.layer}, head {one.head}"], [percent(one.score)]] for one in found
    ]
    app.session_state["heads-known"] = {"chosen": {"key": "2", "number": 1}}
    assert app.run().link == {"model": "tales", "head": "0"}  # of layer 1, where the page begins
    copied = float(copying.scores(load("tales").transformer)[1, 0])
    assert f"Copying, by the eigenvalues of its OV circuit: {cards_text.signed(copied)} of at most ±1" in app.prose
    assert "OV circuit" not in page.prose and "known" not in str(values(page, "attnviz_table"))


def test_the_card_leads_to_a_run_without_the_head(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SECONDS", 60)  # a sweep is one slice
    (link,) = (one for one in page.get("page_link") if one.proto.label.startswith("Switch it off"))
    query = dict(parse_qsl(link.proto.query_string))
    assert query == {"model": "minilm", "how": "zero", "layer": "1", "head": "9", "text": SENTENCE}
    assert "With this head switched off, the cosine with the other text is" in opened("what_if", **query).prose
    assert [percent(1e-4)] in (row[2] for row in rows(page, "All measures of this head"))  # both ends are written alike


def kept(app: Page) -> str:
    """The page to keep, asked for and waited for."""
    app.press("Write one page to keep")
    while app.get("progress"):
        app.run()
    assert [one.proto.label for one in app.get("download_button")] == ["Save as one page (.html)"]
    written: bytes = app.session_state[f"{work.FILE.name}:steps"][-1].value
    return written.decode()


def test_the_page_to_keep_has_the_chosen_head_first() -> None:
    page = kept(opened("heads", model="austen", layer=2, head=1))
    assert page.index("<h3>Layer 2, head 1</h3>") < page.index("<h3>", page.index("<h3>") + 1)
    assert "What does " in page and "sweep.csv" in page and 'id="comparison"' not in page
    app = opened("compare", model="austen", text=" She said", other=" He said", layer=2, head=2)
    app.switch_page("pages/heads.py").run()
    page = kept(app)
    assert 'id="comparison"' in page and "<bdi> He said</bdi>" in page and "comparison-2-2.csv" in page
    assert "A is the run above. B is another text." in page


def test_the_page_to_keep_is_written_in_slices_and_cancel_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"model": "austen", "layer": 2, "head": 1, "text": " She was not at all."}
    whole = kept(opened("heads", **asked))
    store.STORE.clear(work.FILE.name)
    monkeypatch.setattr(slices, "SECONDS", 0.0)  # a step at a time
    app = opened("heads", **asked)
    before = app.prose
    app.press("Write one page to keep")
    said = [bar.proto.text for bar in app.get("progress")]
    for _ in range(2):
        said += [bar.proto.text for bar in app.run().get("progress")]
    assert set(said) <= {text.writing(part) for part in work.PARTS} and len(said) == 3
    app.press("Cancel")
    assert not app.get("progress") and app.prose.replace(f"{text.NOT_WRITTEN} ", "") == before
    assert app.link == {name: str(value) for name, value in asked.items()}
    app.run()
    assert not app.get("progress") and not app.get("download_button")  # nothing goes on by itself
    app.press("Run it again")
    app.choose(head=2)  # of another head nothing was asked for
    assert not app.get("progress") and text.NOT_WRITTEN not in app.prose and not app.get("download_button")
    app.choose(head=1)
    monkeypatch.setattr(slices, "SECONDS", 60)
    assert text.NOT_WRITTEN in app.prose
    app.press("Run it again")
    while app.get("progress"):
        app.run()
    assert app.session_state[f"{work.FILE.name}:steps"][-1].value.decode() == whole
    assert opened("heads", **asked).get("download_button")  # kept for all sessions


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "head", "layer_b": 0, "head_b": 4}, "elsewhere than layer 0, head 4 in B"),
        ({"kind": "head", "layer_b": 1, "head_b": 3}, ""),  # the same
        (
            {"kind": "change", "change": "off", "off_layer": 0, "off_head": 4, "change_a": "temperature"},
            "A is the text above, changed: temperature 2. B is the same text, changed: layer 0, head 4 off.",
        ),
        ({"other": " bird moon ship" * 40}, "B is another text."),
    ],
)
def test_the_page_to_keep_has_what_compare_shows(settings: dict[str, Any], said: str) -> None:
    app = opened("compare", model="induction", text=" bird moon ship bird", layer=1, head=3, **settings)
    app.switch_page("pages/heads.py").run()
    page = kept(app)
    assert said in page and ("comparison-1-3.csv" in page) == bool(said)
    cut = [f"B shows the first 64 tokens of its text; {1 + 3 * 40 - 64} more are left out."] * ("other" in settings)
    assert [one.value for one in app.caption if "left out" in one.value] == cut


def test_the_page_to_keep_has_the_other_model_of_compare() -> None:
    app = opened("compare", kind="model", model_b="scratch:tiny", layer_b=1, head_b=1)
    app.switch_page("pages/heads.py").run()
    app.press("Write one page to keep")
    asked = app.session_state[f"{work.FILE.name}:of"]
    b = asked.beside[1]
    assert (b.model, b.layer, b.head, b.text) == ("scratch:tiny", 1, 1, SENTENCE)


def test_the_text_that_wakes_a_head_opens_with_the_same_number() -> None:
    stored = cards_file.shipped("austen")
    assert stored is not None and stored.cards.lost is not None and stored.cards.lost.cost is not None
    app = opened("heads", model="austen", layer=3, head=1)
    one = stored.cards.wakes[3][1]
    assert one is not None
    links = [dict(part.split("=", 1) for part in link.proto.query_string.split("&")) for link in app.get("page_link")]
    links = [link for link in links if "q" in link]  # those to Explore
    assert (links[1]["layer"], links[1]["head"], links[1]["q"], links[1]["k"]) == (
        "3",
        "1",
        str(one.query),
        str(one.key),
    )
    weights = load("austen").run(stored.texts[one.text]).layers[3].attention.weights
    written = " ".join(one.value for one in app.text)
    assert f"gives {percent(float(weights[0, 1, one.query, one.key]))} to" in written
    assert f"{percent(one.share)} of its attention does not rest" in written
    assert "What its removal costs: " in app.prose and "nats per predicted token" in app.prose
