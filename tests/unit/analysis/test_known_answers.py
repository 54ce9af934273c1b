"""Heads whose answers are known: intervals as published, numbers as the models' tests have them."""

from __future__ import annotations

import pytest

from attnviz.analysis import known_answers
from attnviz.analysis.known_answers import Known


def test_intervals_are_wilsons() -> None:
    """81 of 263: Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I."""
    one = Known("", 0, 0, 81 / 263, 0, 0, 263)
    assert one.interval == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert Known("", 0, 0, 1.0, 0, 0, 1).interval == (pytest.approx(0.2065, abs=1e-4), 1.0)


def test_bundled_models_and_no_others() -> None:
    found = known_answers.of_model("tales")
    assert [(one.what, one.layer, one.head) for one in found] == [
        ("pronoun → noun", 0, 0),
        ("verb → noun", 1, 1),
        ("adjective → noun", 1, 0),
    ]
    assert all(one.interval[0] > one.by_place > one.by_chance for one in found)
    assert len(known_answers.of_model("dates")) == 3
    assert (
        known_answers.of_model("induction") == known_answers.of_model("hf:a/b") == known_answers.of_model("../x") == ()
    )
