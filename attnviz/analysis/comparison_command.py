"""python -m attnviz investigate TEXT --compare OTHER: which heads look elsewhere on another text, as a table."""

from __future__ import annotations

import argparse
import csv as csv_files
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.analysis import comparison
from attnviz.analysis.comparison import Change, Comparison
from attnviz.errors import InvalidParameterError
from attnviz.formatting import counted, percent

if TYPE_CHECKING:
    from attnviz.models.model import Model

FIELDS = ("layer", "head", "elsewhere", "query", "key", "text", "other")
PRINTED = 12  # heads


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `run` reads beside the text."""
    parser.add_argument(
        "--compare", metavar="OTHER", help="every head on another text, with the tokens of both aligned"
    )


def run(model: Model, texts: Sequence[str], options: argparse.Namespace) -> None:
    """`compare` as the command line asks for it. Errors: as there, and InvalidParameterError for not one text."""
    if len(texts) != 1:
        raise InvalidParameterError(f"--compare takes one text beside the other one, not {len(texts)}")
    compare(model, texts[0], options.compare, csv=options.csv)


def check(model: Model) -> None:
    """Errors: InvalidParameterError for a model that does not read one text."""
    title = model.info.title
    if model.reads != "text":
        raise InvalidParameterError(f"{title} reads {model.reads}s: --compare takes a model that reads a text")
    if model.transformer.config.kind == "encoder-decoder":
        raise InvalidParameterError(f"{title} reads two texts, one per stack: --compare takes a model that reads one")


def compare(model: Model, text: str, other: str, *, csv: Path | None = None) -> None:
    """Prints the heads whose attention goes elsewhere most on another text, and the cell of each that differs most.

    `csv`: a file for all heads. Errors: InvalidParameterError, ModelError, OSError.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    check(model)
    here, there = model.run(text), model.run(other)
    heads = [
        (layer, head, comparison.compare(here, (layer, head), there, (layer, head)))
        for layer, one in enumerate(here.layers)
        for head in range(one.attention.q.shape[1])
    ]
    heads.sort(key=lambda one: -float(one[2].moved.mean()))
    labels, out, table = here.encodings[0].labels, Console(), Table(box=None, pad_edge=False)
    for name in ("layer", "head", "elsewhere"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("the largest difference")
    for name in ("text", "other"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer, head, found in heads[:PRINTED]:
        cell = _largest(found)
        words = Text("none" if cell is None else f"“{labels[cell.query[0]]}” at “{labels[cell.key[0]]}”")
        weights = ("", "") if cell is None else (percent(cell.a), percent(cell.b))
        table.add_row(str(layer), str(head), percent(float(found.moved.mean())), words, *weights)
    both = counted(len(heads[0][2].pairs), "token")
    out.print(f"The texts have {both} in common, of {len(labels)} and {len(there.encodings[0])}.")
    out.print(table)
    out.print("Elsewhere: how much of its attention a token spends otherwise on the other text, on average.")
    if csv is not None:
        with csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv_files.writer(file)
            writer.writerow(FIELDS)
            for layer, head, found in sorted(heads, key=lambda one: one[:2]):
                cell = _largest(found)
                about = (
                    ("", "", "", "") if cell is None else (cell.query[0], cell.key[0], f"{cell.a:.6g}", f"{cell.b:.6g}")
                )
                writer.writerow((layer, head, f"{float(found.moved.mean()):.6g}", *about))


def _largest(found: Comparison) -> Change | None:
    return next(iter(comparison.strongest(found, 1)), None)
