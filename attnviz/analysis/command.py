"""python -m attnviz investigate: what each head of a model is for, as a table with its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.analysis import ablation, cards_file, copying, known_answers, roles
from attnviz.analysis import cards as all_cards
from attnviz.errors import InvalidParameterError
from attnviz.formatting import csv_bytes, number, percent
from attnviz.inputs import terminal
from attnviz.inputs.atomic_write import write_whole
from attnviz.inputs.sample import sample

if TYPE_CHECKING:
    from attnviz.models.model import Model

FIELDS = ("layer", "head", "role", "measure", "score", "low", "high", "chance", "at_work", "queries")


def investigate(
    model: Model, texts: Sequence[str], *, everything: bool = False, csv: Path | None = None, cards: Path | None = None
) -> None:
    """Prints the heads that have a role, with its share, its interval and its chance level, and what is lost without.

    Arguments
        texts: what the heads are judged on; none: the 300 of `attnviz.inputs.sample`.
        everything: prints the heads without a role too.
        csv: a file for every measure of every head.
        cards: a file for the heads' cards, as `cards_file` writes it.

    Errors: InvalidParameterError, ModelError, OSError.
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    out = terminal.console()
    read = tuple(texts) or sample()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Running the texts", total=len(read))
        for step in all_cards.judging(model, read):
            if isinstance(step, all_cards.Cards):
                made = step
            else:
                progress.advance(task)
    found = made.roles
    if cards is not None:
        cards_file.write(cards, model, read, made)
    lost = _lost(model, read[0])
    table = Table(box=None, pad_edge=False)
    for title in ("layer", "head"):
        table.add_column(title, justify="right")
    table.add_column("role")
    copied = copying.scores_if_read(model.transformer)
    for title in ("share", "95 % interval", "chance", "without it", *(() if copied is None else ("copies",))):
        table.add_column(title, justify="right", no_wrap=True)
    for layer, row in enumerate(found.names):
        for head, name in enumerate(row):
            if name or everything:
                last = (lost[layer][head], *(() if copied is None else (number(float(copied[layer, head])),)))
                table.add_row(str(layer), str(head), name or "–", *_evidence(found, layer, head, name), *last)
    out.print(table)
    out.print(_summary(found, len(read), own=bool(texts)))
    if copied is not None:
        chance = number(copying.by_chance(model.transformer.config.head_dim))
        out.print(f"“Copies”: eigenvalues of the OV circuit, −1 … 1; random weights stay within ±{chance} (95 %).")
    for one in known_answers.of_model(model.info.name):
        low, high = map(percent, one.interval)
        rules = f"by place {percent(one.by_place)}, by chance {percent(one.by_chance)}"
        out.print(
            f"{one.what}: layer {one.layer}, head {one.head} is right {percent(one.score)} ({low} – {high}; {rules})."
        )
    if csv is not None:
        write_whole(csv, csv_bytes(FIELDS, _rows(found)))


def _evidence(found: roles.Roles, layer: int, head: int, name: str) -> tuple[str, str, str]:
    if not name:
        return "", "", ""
    place = (roles.MEASURES.index(name), layer, head)
    score, low, high, chance = (float(x[place]) for x in (found.score, found.low, found.high, found.chance))
    return percent(score), f"{percent(low)} – {percent(high)}", "" if chance != chance else percent(chance)


def _lost(model: Model, text: str) -> list[list[str]]:
    """How far the final vectors of a text move without each head, as text; "" where that cannot be run."""
    n_layers, n_heads = model.transformer.config.n_layers, model.transformer.config.n_heads
    try:
        trace = model.run(text)
        swept = [
            ablation.moved(trace.final[0], changed.final).tolist()
            for changed in ablation.each_head(model.transformer, trace)
        ]
    except InvalidParameterError:  # a model that transformers computes: its layers cannot be run one by one
        return [[""] * n_heads for _ in range(n_layers)]
    return [[percent(one) for one in row] for row in swept]


def _summary(found: roles.Roles, n_texts: int, *, own: bool) -> str:
    named = Counter(name for row in found.names for name in row if name)
    heads = sum(map(len, found.names))
    listed = ", ".join(f"{count} {name}" for name, count in named.most_common()) or "none"
    texts = "your text" if n_texts == 1 else f"{n_texts} texts"
    where = texts if own else f"{texts} in ten languages"
    return (
        f"{sum(named.values())} of {heads} heads have a role on {where}: {listed}. A role is said where a head gives "
        f"at least {percent(roles.LEAST_SHARE)} of what it does not rest to it, at the low end of the interval. "
        "Shares of duplicate and induction are of random words said twice. “Without it”: how far the final vectors "
        "of the first text move, as a share of their norm, when the head is switched off."
    )


def _rows(found: roles.Roles) -> Iterator[tuple[object, ...]]:
    for layer, row in enumerate(found.names):
        for head, name in enumerate(row):
            for which, measure in enumerate(roles.MEASURES):
                place = (which, layer, head)
                values = (found.score, found.low, found.high, found.chance, found.at_work)
                numbers = [f"{float(x[place]):.4f}" for x in values]
                yield layer, head, name, measure, *numbers, int(found.queries[which])
