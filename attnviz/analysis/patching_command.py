"""python -m attnviz investigate TEXT --patch OTHER: what every head carries from one text to the other, as a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from attnviz.analysis import outcomes, patching, patching_gradient, self_repair, sites
from attnviz.analysis.outcomes import Lead, Likeness
from attnviz.analysis.patching import How
from attnviz.errors import InvalidParameterError
from attnviz.formatting import csv_bytes, cut_off, number, percent
from attnviz.inputs import terminal
from attnviz.inputs.atomic_write import write_whole

if TYPE_CHECKING:
    from attnviz.models.model import Model

FIELDS = ("place", "layer", "head", "base", "other_text", "outcome", "effect", "by_gradient")
PRINTED = 12  # heads


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `run` reads beside the text."""
    parser.add_argument("--patch", metavar="OTHER", help="every head with what it writes on another text")
    how = "with --patch: patch, freeze, zero, mean, uniform, or a factor such as 0.5 (patch)"
    parser.add_argument("--how", default="patch", help=how)
    parser.add_argument("--token", default="", help="with --patch or --attributions: the token whose logit is measured")
    parser.add_argument("--versus", default="", help="with --patch: the token that it is ahead of")
    parser.add_argument("--target", help="with --patch: the answer so far, for an encoder-decoder model")


def run(model: Model, texts: Sequence[str], options: argparse.Namespace) -> None:
    """`patch` as the command line asks for it. Errors: as there, and InvalidParameterError for not one text."""
    if len(texts) != 1:
        raise InvalidParameterError(f"--patch takes one text beside the other one, not {len(texts)}")
    try:
        how = float(options.how)
    except ValueError:
        how = options.how
    chosen = {"token": options.token, "versus": options.versus, "target": options.target, "csv": options.csv}
    patch(model, texts[0], options.patch, how=how, **chosen)


def patch(
    model: Model,
    text: str,
    other: str,
    *,
    how: How = "patch",
    token: str = "",
    versus: str = "",
    target: str | None = None,
    csv: Path | None = None,
) -> None:
    """Prints the heads whose change does most, exactly and by one gradient, and how well the two go together.

    Arguments
        how: as for `patching.heads`.
        token, versus: whose logit difference is measured, each one token; by default `outcomes.usual`.
        target: the answer so far, of a model that reads two texts.
        csv: a file for all heads.

    Errors: InvalidParameterError, ModelError, OSError.
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    two = model.transformer.config.kind == "encoder-decoder"
    here, there = (model.run(one, (target or "") if two else target) for one in (text, other))
    patching.check(model.transformer, here, how, there)
    measured = _outcome(model, outcomes.usual(here, there), token, versus)
    base, goal = (patching.base(model.transformer, run, measured) for run in (here, there))
    places, rows = sites.sites(here), []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for row in progress.track(
            patching.heads(model.transformer, here, measured, how, other=there), total=len(places)
        ):
            rows.append(row.values)
    values = torch.stack(rows)
    effects = values - base
    near = patching_gradient.heads(model.transformer, here, measured, how, other=there)
    out, table = terminal.console(), Table(box=None, pad_edge=False)
    for title in ("place", "layer", "head", "outcome", "change", "of the way", "by gradient"):
        table.add_column(title, justify="left" if title == "place" else "right", no_wrap=True)
    for place in effects.abs().flatten().argsort(descending=True)[:PRINTED].tolist():
        y, head = divmod(place, effects.shape[1])
        effect = float(effects[y, head])
        way = percent(effect / (goal - base)) if goal != base and how in patching.NEEDS_OTHER else ""
        cells = (number(float(values[y, head]), 3), number(effect, 3), way, number(float(near[y, head]), 3))
        table.add_row(places[y].place, str(places[y].layer), str(head), *cells)
    if note := cut_off(*((one.source or one).encodings[0].cut for one in (here, there))):
        out.print(note)
    out.print(Text(f"{_named(model, measured)}: {number(base, 3)} on the text, {number(goal, 3)} on the other."))
    out.print(table)
    found = patching_gradient.correlation(effects, near)
    out.print(
        f"Over {found.n} heads the gradient goes with the exact effects at r = {number(found.pearson)} (Pearson), and "
        f"{number(found.spearman)} in their order (Spearman)."
    )
    if isinstance(measured, Lead) and not two:
        out.print(_repaired(self_repair.of_heads(model.transformer, here, measured)))
    if csv is not None:
        _write(csv, places, values, near, base, goal)


def _outcome(model: Model, usual: Lead | Likeness, token: str, versus: str) -> Lead | Likeness:
    if not token and not versus:
        return usual
    if not isinstance(usual, Lead):
        raise InvalidParameterError("only a model that predicts the next token has a token’s logit to measure here")
    chosen = outcomes.one_token(model, token) if token else usual.token
    against = outcomes.one_token(model, versus) if versus else usual.versus
    if chosen == against:
        raise InvalidParameterError("a token has no lead over itself: name two")
    return Lead(chosen, against, usual.position)


def _named(model: Model, measured: Lead | Likeness) -> str:
    if isinstance(measured, Likeness):
        return "Cosine with the other text"
    if model.classes:
        names = [model.classes[one] for one in (measured.token, measured.versus) if one is not None]
    else:
        names = [
            model.tokenizer.encoding([one]).labels[0] for one in (measured.token, measured.versus) if one is not None
        ]
    return "Logit difference of " + " and ".join(f"“{name}”" for name in names)


def _repaired(found: self_repair.Repair) -> str:
    if found.most is None:
        return "No head that is switched off is repaired."
    layer, head = found.most
    share = percent(float(found.repaired[layer, head]))
    return (
        f"Self-repair: of what layer {layer}, head {head} writes into it, {share} is put back when it is switched off."
    )


def _write(
    csv: Path, places: Sequence[sites.Site], values: torch.Tensor, near: torch.Tensor, base: float, goal: float
) -> None:
    rows = []
    for y, site in enumerate(places):
        for head in range(values.shape[1]):
            value = float(values[y, head])
            rows.append((site.place, site.layer, head, base, goal, value, value - base, float(near[y, head])))
    write_whole(csv, csv_bytes(FIELDS, rows, digits=6))
