"""Why a weight is what it is, as Explore says it: a calculator gets what is shown from what is shown."""

import math
import re
from typing import Any

import numpy as np
import pytest

from tests.support.node import run_node

DETAIL = """
give(inputs.map(([q, k]) => why.whyDetail(
  {finite: true, up: 1, column: 32, parts: [0, Math.fround(q * k)], factor: (of) => (of === "q" ? q : k)}, 1)));
"""
STEPS = "give(inputs.map((steps) => why.whySteps({steps, allowed: true, weight: 0.5}, false)));"


def drawn(n: int, size: float) -> list[float]:
    return np.random.default_rng(3).normal(0, size, n).astype(np.float32).astype(float).tolist()


def read(text: str) -> float:
    return float(text.replace("−", "-"))


def same(worked: float, shown: str) -> bool:
    """Whether a calculator's number, rounded to the decimals that are shown, is what is shown."""
    return abs(worked - read(shown)) <= 0.5 * 10 ** -len(shown.partition(".")[2]) + 1e-9


def test_the_product_under_the_pointer() -> None:
    """Found: −1.27 × −3.86 = 4.88, where a calculator gives 4.90."""
    pairs = [[-1.2655, -3.8559], *zip(drawn(500, 2), reversed(drawn(500, 2)), strict=True)]
    for text in run_node(DETAIL, inputs=pairs):
        q, k, product = re.fullmatch(r"dimension 1 \(column 33 of Q\): (\S+) × (\S+) = (\S+)", text).groups()
        assert same(read(q) * read(k), product), text


@pytest.mark.parametrize("width", [32, 64, 50])
def test_from_the_sum_to_the_score(width: int) -> None:
    """Found: 21.7 ÷ √32 = 3.83, where a calculator gives 3.84."""
    sums = [21.6658, 6.9735, *drawn(300, 8)]
    found = run_node(STEPS, inputs=[steps_of(total, width) for total in sums])
    for steps in found:
        numbers = [value for _, value in steps[:4]]
        (_, total), (root, scaled), (moved, score), (_, logit), _ = steps
        assert root == f"÷ √{width}" and same(read(total) / math.sqrt(width), scaled), steps
        assert same(read(scaled) + read(moved.removesuffix(" position").replace(" ", "")), score), steps
        assert same(read(score) / 1.5, logit), numbers


def steps_of(total: float, width: int) -> dict[str, Any]:
    score = total / math.sqrt(width) - 0.337
    return {
        "sum": total,
        "scale": 1 / math.sqrt(width),
        "softcap": None,
        "capped": score + 0.337,
        "sink": None,
        "bias": -0.337,
        "score": score,
        "temperature": 1.5,
        "logit": score / 1.5,
    }


def test_another_factor_than_the_root_is_shown_with_what_it_needs() -> None:
    steps = {**steps_of(96.4321, 32), "scale": 0.0156789, "bias": 0, "temperature": 1}
    ((_, total), (by, scaled), _) = run_node(STEPS, inputs=[steps])[0]
    assert same(read(total) * read(by.removeprefix("× ")), scaled)
