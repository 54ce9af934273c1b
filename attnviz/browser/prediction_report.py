"""What an investigation to keep says of one prediction: without each head, who wrote it, and what is its cause."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.analysis import agreement, cards_text
from attnviz.analysis.evidence import METHODS, SIGNED
from attnviz.analysis.investigation import Investigation, Sweep
from attnviz.browser.report_tables import Cell, amount, signed, table
from attnviz.formatting import counted, number, percent

if TYPE_CHECKING:
    from attnviz.analysis.agreement import Correlation

PRINTED = 12  # parts of a logit
MEASURES = {
    "attention": "attention",
    "rollout": "rollout",
    "flow": "flow",
    "norm": "‖αv‖",
    "gradient": "gradient",
    "integrated": "integrated",
    "erasure": "erasure",
}


def _predicted(found: Investigation) -> str:
    """What is explained, as part of a sentence."""
    if found.prediction is None or found.prediction.kind == "embedding":
        return "the embedding of the text, along its own direction"
    if found.prediction.kind == "class":
        return f"the logit of the class “{found.predicted}”"
    if found.hidden is not None:
        return f"the logit of “{found.predicted}” in the hidden place {found.hidden}"
    return f"the logit of “{found.predicted}” as the next token"


def sweep(found: Investigation) -> dict[str, Any] | None:
    swept = found.sweep
    if swept is None:
        return None
    effects = swept.effects.numpy()
    largest = float(np.abs(effects).max(initial=0.0)) or 1.0
    names = [_place(swept, y) for y in range(len(effects))]
    written = percent if swept.base is None else cards_text.signed
    fill = amount if swept.base is None else signed
    rows = [
        (
            Cell(name),
            *(Cell(written(float(one)), fill(float(one) / largest), f"{name}, head {x}") for x, one in enumerate(row)),
        )
        for name, row in zip(names, effects, strict=True)
    ]
    lines = [
        (site.place, site.layer, x, float(swept.values[y, x]), float(effects[y, x]))
        for y, site in enumerate(swept.sites)
        for x in range(effects.shape[1])
    ]
    y, x = np.unravel_index(int(np.abs(effects).argmax()), effects.shape)
    return {
        "sentence": _swept(found, swept, f"{names[y]}, head {x}", float(effects[y, x])),
        "table": table(
            "Every head switched off",
            ("layer", *map(str, range(effects.shape[1]))),
            rows,
            "sweep.csv",
            ("place", "layer", "head", "without_it", "change"),
            lines,
            is_map=True,
        ),
    }


def _place(swept: Sweep, y: int) -> str:
    site, alone = swept.sites[y], len({one.place for one in swept.sites}) == 1
    return f"layer {site.layer}" if alone else f"{site.place} layer {site.layer}"


def _swept(found: Investigation, swept: Sweep, head: str, effect: float) -> str:
    if swept.base is None:
        return (
            f"The head whose removal moves the final vectors of the text most is {head}: by {percent(effect)} of their "
            "norm, on average over tokens."
        )
    what = (
        "the logit difference of the two likeliest tokens at the end" if found.prediction is None else _predicted(found)
    )
    start = f"{what[0].upper()}{what[1:]} is {number(swept.base)}."
    return f"{start} Of all heads, switching off {head} changes it most, by {cards_text.signed(effect)}."


def logits(found: Investigation) -> dict[str, Any] | None:
    if found.logits is None:
        return None
    terms = list(zip(map(str, found.logits.parts), found.logits.terms.tolist(), strict=True))
    largest = sorted(terms, key=lambda one: -abs(one[1]))
    top = abs(largest[0][1]) or 1.0
    rows = [(Cell(name), Cell(cards_text.signed(term), signed(term / top))) for name, term in largest[:PRINTED]]
    if len(terms) > PRINTED:
        rest = sum(term for _, term in largest[PRINTED:])
        rows.append((Cell(f"{len(terms) - PRINTED} others together"), Cell(cards_text.signed(rest))))
    return {
        "sentence": f"{len(terms)} parts of the model add up to {_predicted(found)}, {number(found.logits.logit)}. "
        f"The largest is {largest[0][0]}, {cards_text.signed(largest[0][1])}.",
        "table": table("Who wrote it", ("part", "of the logit"), rows, "attribution.csv", ("part", "term"), terms),
    }


def evidence(found: Investigation, labels: Sequence[str]) -> dict[str, Any]:
    known = found.evidence
    if known is None or not known.values:
        return {"evidence": None}
    methods = [method for method in METHODS if method in known.values]
    values = {method: known.values[method].tolist() for method in methods}
    top = {method: max(map(abs, values[method]), default=0.0) or 1.0 for method in methods}
    rows = [
        (
            Cell(f"{i} {label}"),
            *(
                Cell(
                    cards_text.signed(values[one][i]) if one in SIGNED else percent(values[one][i]),
                    (signed if one in SIGNED else amount)(values[one][i] / top[one]),
                )
                for one in methods
            ),
        )
        for i, label in enumerate(labels[: len(values[methods[0]])])
    ]
    lines = [(i, labels[i], i in known.own, *(values[one][i] for one in methods)) for i in range(len(rows))]
    orders, n = [], len(known.own)
    if n >= agreement.LEAST:
        compared = {method: known.compared(method) for method in methods if method != "erasure"}
        orders = [(method, pair) for method, pair in compared.items() if pair is not None]
    few = f"{counted(n, 'token')} to compare: no rank correlation of fewer than {agreement.LEAST} is meaningful."
    return {
        "evidence": {
            "sentence": f"What {_predicted(found)} owes to each token. Only erasure changes the text and "
            "looks what happens.",
            "table": table(
                "Attention and cause",
                ("token", *(MEASURES[one] for one in methods)),
                rows,
                "attention-and-cause.csv",
                ("position", "token", "compared", *methods),
                lines,
            ),
            "few": few if n < agreement.LEAST else "",
            "orders": table(
                "Each measure’s order of the tokens against the erasures’",
                ("measure", "Spearman’s ρ", "95\u202f% interval", "Kendall’s τ", "95\u202f% interval"),
                [
                    (Cell(MEASURES[one]), *(cell for each in pair for cell in _correlation(each)))
                    for one, pair in orders
                ],
                "rank-correlations.csv",
                ("measure", "spearman", "low", "high", "kendall", "low", "high"),
                [(one, *(x for each in pair for x in (each.value, each.low, each.high))) for one, pair in orders],
            )
            if orders
            else None,
            "missing": [(MEASURES[one], why) for one, why in known.missing.items()],
        }
    }


def _correlation(one: Correlation) -> tuple[Cell, Cell]:
    if not one.is_there:
        return Cell("–"), Cell("no order")
    return Cell(number(one.value)), Cell("" if math.isnan(one.low) else f"{number(one.low)} to {number(one.high)}")
