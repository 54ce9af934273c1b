"""The page "Program a transformer" through AppTest: what it says is what the library computes."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz import Intervention
from attnviz.models.programs.library import LISTINGS
from attnviz.models.programs.models import listed
from attnviz.web.program.text import ALL, NONE, SOME
from tests.pages.driver import Page, charts, numbers, opened


def table(app: Page) -> list[str]:
    """The three lines of letters."""
    (found,) = (one.proto.body for one in app.get("html") if "Its transformer says" in one.proto.body)
    return [
        "".join(cell.split(">")[1].split("<")[0] for cell in row.split("<td")[1:]) for row in found.split("<tr>")[1:]
    ]


def test_opens_on_induction_and_says_what_both_say():
    app = opened("program")
    assert app.sentence.startswith("“abcdabc” becomes “____bcd”: the program says so, and so does its transformer")
    assert f"{listed('induction').model.info.n_parameters:,} weights in 2 layers" in app.sentence
    assert table(app) == ["abcdabc", "____bcd", "____bcd"]


@pytest.mark.parametrize("name", [listing.name for listing in LISTINGS])
def test_every_listed_program_runs(name):
    app = opened("program", program=name)
    made = listed(name)
    assert table(app)[1] == table(app)[2] == made.meaning(next(one.example for one in LISTINGS if one.name == name))
    assert not app.notices


def test_the_pictures_are_the_scores_of_the_heads_weights():
    app = opened("program", program="previous")
    (figure,) = charts(app)
    scores = numbers(figure["data"][0]["z"])
    made = listed("previous")
    trace = made.model.run("badcafe")
    attention = trace.layers[0].attention
    measured = attention.scores[0, 0, 4, 1:5].numpy()  # of the fourth letter: the one before fits
    expected = scores[3, :4]
    assert scores.shape == (12, 12) and (scores[3] > 0).sum() == 1
    np.testing.assert_allclose(np.diff(measured) - np.diff(expected), 16.0, rtol=1e-4)  # and the later key wins


def test_a_head_is_switched_off_after_the_guess():
    app = opened("program", revealed=0)
    assert not [one for one in app.toggle if one.label == "Switch this head off"] and "4 of 7" not in app.prose
    app.guess("off", SOME)
    assert "Right. Without what this head fetches it says “_______”" in app.prose and "4 of 7 right" in app.prose
    app.choose(off=True)
    assert table(app)[2] == "_______" and "4 of 7 letters are right" in app.sentence
    assert app.link["off"] == "1"


@pytest.mark.parametrize(("program", "phrase", "truth"), [("sort", "dcba", NONE), ("previous", "a", ALL)])
def test_the_guess_is_judged_by_a_run_without_the_head(program, phrase, truth):
    app = opened("program", program=program, phrase=phrase, revealed=0)
    app.guess("off", truth)
    assert "✓ Right." in app.prose


def test_a_warm_softmax_breaks_the_program():
    app = opened("program", program="histogram", temperature=20.0)
    made = listed("histogram")
    trace = made.model.run("abacab", intervention=Intervention(temperature=20.0))
    assert trace.logits is not None
    ids = trace.logits[0, 1:].argmax(dim=-1).tolist()
    said = "".join(map(made.model.tokenizer.library.id_to_token, ids))
    assert table(app)[2] == said != table(app)[1]


def test_a_program_of_ones_own():
    app = opened("program", program="reverse").press("Change this program")
    assert app.link["program"] == "own" and table(app)[2] == "fedcba"
    app.choose(code="count(select(tokens, tokens, key == query)) > 1", phrase="aab")
    assert table(app) == ["aab", "TTF", "TTF"]
    again = opened("program", **app.link)
    assert table(again) == table(app)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"program": "own"}, "This is not a program yet: the program is empty"),
        ({"program": "own", "code": "import os"}, "This is not a program yet: line 1: a line is"),
        ({"program": "own", "code": "tokens"}, "takes no attention head"),
        ({"program": "own", "code": "tokens", "letters": ""}, "the alphabet has 0 letters"),
        ({"program": "own", "code": "tokens", "letters": "aa"}, "has 'a' more than once"),
        ({"phrase": "abz"}, "“z” is not one of the letters"),
        ({"phrase": "<img src=x>"}, "“<” is not one of the letters"),
    ],
)
def test_what_cannot_run_is_a_sentence_and_stays_typed(fields, sentence):
    app = opened("program", **fields)
    assert sentence in app.notices[0]
    assert all(app.link.get(field, "") == str(value) or not value for field, value in fields.items())


def test_a_link_out_of_range_opens_on_what_there_is():
    app = opened("program", program="nonsense", layer=400, head=99, temperature=0.123)
    assert table(app)[2] == "____bcd" and not app.notices


def test_explore_runs_a_program():
    app = opened("", model="program:induction", text="abcdabc")
    assert not app.notices and not app.exception
    assert "There is no program “program:nothing”" in opened("", model="program:nothing").notices[0]


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("phrase", "x" * 10_000, "The text has 10,000 characters; at most 12 are read."),
        ("letters", "abc" * 6, "The alphabet has 18 characters; at most 16 are read."),
        ("code", "#" * 2_000, "The program has 2,000 characters; at most 1,500 are read."),
    ],
)
def test_what_is_too_long_is_said_and_stays_typed(field, typed, sentence):
    app = opened("program", program="own", code="min(count(select(tokens, tokens, key == query)), 9)")
    before = app.link
    app.choose(**{field: typed})
    assert sentence in app.notices[0] and app.session_state[f"program.{field}"] == typed
    assert app.link == before  # a link carries none of it


def test_a_thing_to_try_chooses_its_head_and_the_list_follows():
    assert "Induction without its first head" not in [one.label for one in opened("program", revealed=0).button]
    app = opened("program").press("Induction without its first head")
    (box,) = (one for one in app.selectbox if one.label == "Attention head")
    assert box.value == (0, 0) and app.link["layer"] == "0" and app.link["off"] == "1"
    assert table(app)[2] == "_______"
    box.set_value((1, 0))
    app.run()
    assert "layer" not in app.link and app.session_state["program.layer"] == 1
