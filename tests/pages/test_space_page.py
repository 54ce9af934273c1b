"""The page "Space" through AppTest: its points are the library's, a click chooses a token, links reopen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attnviz import Model, load
from attnviz.analysis import space
from attnviz.formatting import number, percent
from attnviz.web import store
from tests.pages.driver import SENTENCE, Page, charts, numbers, opened, values


@pytest.fixture(scope="module")
def minilm() -> Model:
    return load("minilm")


@pytest.fixture(scope="module")
def page() -> Page:
    return opened("space")


def drawn(app: Page) -> dict[tuple[int, str], tuple[float, float]]:
    """Where the points stand, by what a click on them tells and their symbol; those out of the text left out."""
    (chart,) = charts(app)
    (dots,) = chart["data"]
    xs, ys = np.array(numbers(dots["x"])), np.array(numbers(dots["y"]))
    tells, symbols = [one[0] for one in dots["customdata"]], dots["marker"]["symbol"]
    return {
        (told, symbol): (x, y)
        for told, symbol, x, y in zip(tells, symbols, xs.tolist(), ys.tolist(), strict=True)
        if told >= 0
    }


def rows(app: Page) -> list[list[str]]:
    """The table's cells."""
    (found,) = values(app, "attnviz_table")
    return [[cell[0] for cell in row["cells"]] for row in found["rows"]]


def test_opens_on_the_tokens_of_a_layer(page: Page, minilm: Model) -> None:
    trace = minilm.run(SENTENCE)
    expected = space.placed(trace.layers[3].resid_pre[0])
    points = drawn(page)
    assert len(points) == trace.lengths[0]
    for i, place in enumerate(expected.places.tolist()):
        assert points[i, "circle"] == pytest.approx(place, abs=1e-3)
    both = " + ".join(percent(one) for one in expected.explained)
    assert f"The plane keeps {percent(sum(expected.explained))} of the variance ({both})." in page.sentence
    it = trace.encodings[0].labels.index("it")
    near = space.nearest(trace.layers[3].resid_pre[0], it)
    labels = trace.encodings[0].labels
    names = [f"the ({i})" if label == "the" else label for i, label in enumerate(labels)]  # of which there are two
    assert rows(page) == [[names[i], number(cosine)] for i, cosine in near]
    assert {"the (1)", "the (7)"} & {name for name, _ in rows(page)}
    (link,) = page.get("page_link")
    query = dict(part.split("=", 1) for part in link.proto.query_string.split("&"))
    assert (query["q"], query["layer"], query["head"]) == (str(it), "3", "0")


def test_queries_and_keys_of_a_head(minilm: Model) -> None:
    app, trace = opened("space", what="heads", layer=2, head=9, by="weight"), minilm.run(SENTENCE)
    record, it = trace.layers[2].attention, trace.encodings[0].labels.index("it")
    expected = space.placed(torch.cat([record.q[0, 9], record.k[0, 9]])).places.tolist()
    points, n = drawn(app), trace.lengths[0]
    for i in range(n):
        assert points[i, "circle"] == pytest.approx(expected[i], abs=1e-3)
        assert points[i, "diamond"] == pytest.approx(expected[n + i], abs=1e-3)
    scores, weights = record.scores[0, 9, it], record.weights[0, 9, it]
    best = scores.argsort(descending=True)[:8].tolist()
    assert [row[1:3] for row in rows(app)] == [[number(float(scores[k])), percent(float(weights[k]))] for k in best]
    assert any("the score q·k is no distance" in one.value for one in app.caption)


def test_neighbours_are_those_of_the_whole_table(minilm: Model) -> None:
    app = opened("space", what="table", seed=3)
    table, row = space.embedding_table(minilm), minilm.encode("it").ids[1]
    cosines = torch.nn.functional.cosine_similarity(table, table[row : row + 1])
    best = cosines.topk(9).indices.tolist()[1:]
    labels = [minilm.tokenizer.encoding([i]).labels[0] for i in best]
    assert [row[0] for row in rows(app)] == labels
    (chart,) = charts(app)
    assert len(chart["data"][0]["x"]) >= 300
    assert app.link == {"what": "table", "seed": "3"}
    assert charts(opened("space", what="table", seed=4)) != charts(app)
    assert charts(opened("space", what="table", seed=3)) == charts(app)


def test_three_dimensions_are_turned_and_a_click_chooses(page: Page, minilm: Model) -> None:
    app = opened("space", dims=3, turn=90, layer=6)
    trace = minilm.run(SENTENCE)
    places = space.placed(trace.layers[5].resid_post[0], dims=3).places
    assert drawn(app)[4, "circle"] == pytest.approx((float(places[4, 2]), float(places[4, 1])), abs=1e-3)
    assert "The three axes keep" in app.sentence
    app.session_state["lesson-picture-space"] = {"point": {"x": 0, "y": 0, "about": [2, "animal"]}}
    app = app.run()
    assert app.link == {"dims": "3", "turn": "90", "layer": "6", "token": "2"}
    assert "Nearest to “animal”" in app.sentence
    placed = next(use for use in store.STORE.uses() if use.name == "space.state.straight").made
    app.choose(token=4)  # the points stay where they are
    assert next(use for use in store.STORE.uses() if use.name == "space.state.straight").made == placed
    app.choose(token=2)
    again = opened("space", **app.link)
    assert again.sentence == app.sentence and charts(again) == charts(app)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "digits"}, "Digits reads images"),
        ({"model": "dates"}, "reads two texts"),
        ({"text": "a", "how": "tsne"}, "3 points: t-SNE takes at least 5. Choose another way above"),
        ({"text": "a", "model": "austen", "what": "heads"}, "The query of “a” scores the key of"),
        ({"layer": 99, "head": 99, "what": "heads", "by": "nonsense"}, "scores the key of"),
        ({"layer": 6, "by": "weight"}, "Nearest to “it”"),
    ],
)
def test_what_cannot_be_shown_is_said(fields: dict[str, Any], said: str) -> None:
    app = opened("space", **fields)
    assert said in app.prose and "NaN" not in app.prose
    if "how" in fields:
        assert len(app.get("button_group")) >= 3  # another way can be chosen


def test_a_placing_is_cancelled_and_begun_anew() -> None:
    """What it takes seconds for is loaded first; meanwhile all else is there, and the way of placing can be changed."""
    app = opened("space", how="tsne", layer=2)
    assert [bar.proto.text for bar in app.get("progress")] == ["scikit-learn is on its way …"]
    assert not charts(app) and len(rows(app)) == 8 and "Nearest to “it”" in app.sentence
    placing = app.session_state["space:placing"]
    app.press("Cancel")
    assert placing.status == "cancelled" and not app.get("progress")
    assert "Cancelled: the points have no places yet." in app.sentences
    app.press("Place them")
    again = app.session_state["space:placing"]
    assert again is not placing and again.active and app.get("progress")
    app.choose(how="pca")
    assert again.status == "cancelled" and charts(app) and not app.get("progress")


@pytest.mark.nightly  # scikit-learn takes seconds to import
@pytest.mark.parametrize("how", ["tsne", "neighbours"])
def test_other_ways_place_the_points_as_the_library_does(minilm: Model, how: Any) -> None:
    app = opened("space", how=how, layer=1)
    if app.get("progress"):
        app.session_state["space:placing"].wait(60)
        app.run()
    expected = space.placed(minilm.run(SENTENCE).layers[1].resid_pre[0], how).places.tolist()
    assert [drawn(app)[i, "circle"] for i in range(16)] == [pytest.approx(one, abs=1e-2) for one in expected]
    assert "of the variance" not in app.sentence
