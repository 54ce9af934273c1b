"""The sentences of the page "What if?" agree with the numbers beside them."""

from __future__ import annotations

from attnviz.analysis.cell_removal import Removed
from attnviz.formatting import NARROW
from attnviz.web.what_if import text


def cell(cut: float, blocked: float) -> str:
    one = Removed(query=0, key=1, weight=0.1, blocked=blocked, cut=cut, heir=0, gain=0.02)
    return text.cells([one], ["a"], ["b", "c"], "likeness")


def test_no_share_is_missed_of_what_reads_the_same() -> None:
    assert f"Blocking underestimates it by 50{NARROW}%" in cell(0.004, 0.002)
    same = cell(0.00104, 0.00100)
    assert "by +0.001; blocked, by +0.001, as far as these digits show" in same and "underestimates" not in same


def test_a_change_is_the_difference_of_the_outcomes_beside_it() -> None:
    said = text.one_head("likeness", "the cosine", "zero", 1.0, 0.8324, 0.8696, 1, 72)
    assert said.startswith("With this head switched off, the cosine is 0.870 instead of 0.832 (+0.038).")
    said = text.one_head("probability", "the probability", "scale", 0.5, 0.256, 0.164, 2, 72)
    assert f"multiplied by 0.5, the probability is 16.4{NARROW}% instead of 25.6{NARROW}% (−9.2)." in said


def test_a_head_that_changes_nothing_has_no_rank() -> None:
    """Of the same text twice the chosen head was said to be number 1 of 72 by size, with a change of 0."""
    said = text.one_head("likeness", "the cosine", "patch", 1.0, 1.0, 0.99996, 1, 72)
    assert said == "With this head given its output on the other text, the cosine stays 1.000."
    said = text.chosen("likeness", "layer 5, head 8", 1.0, 1.0, 1, 72)
    assert said == "The chosen head, layer 5, head 8, does not visibly change it."
