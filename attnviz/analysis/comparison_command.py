"""What a command line lays beside a run: another text, model, head or run; and `investigate --compare` as a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.analysis import comparison
from attnviz.analysis.comparison import Head, Sides
from attnviz.errors import InvalidParameterError
from attnviz.formatting import counted, csv_bytes, cut_off, percent
from attnviz.inputs import terminal
from attnviz.inputs.atomic_write import write_whole
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace

if TYPE_CHECKING:
    from attnviz.models.model import Model

FIELDS = ("layer", "head", "elsewhere", "query", "key", "text", "other")
PRINTED = 12  # heads
RUNS: dict[str, dict[str, Any]] = {
    "causal": {"mask": "causal"},
    "no-mask": {"mask": "none"},
    "unscaled": {"scaled": False},
    "trained": {},
}
CHANGES = "causal, no-mask, unscaled, temperature=2, off=1.9 or trained"


def add_options(parser: argparse.ArgumentParser, where: str = "") -> None:
    """What `sides` reads; `where` it is of use, before each explanation."""
    for name, metavar, about in (
        ("", "OTHER", "every head on another text, with the tokens of both aligned"),
        ("-model", "NAME", "beside another model that reads text in the same tokens"),
        ("-head", "LAYER.HEAD", "beside one head, instead of that of the same number"),
        ("-run", "CHANGE,…", f"beside another run: {CHANGES}"),
    ):
        parser.add_argument(f"--compare{name}", metavar=metavar, help=f"{where}{about}")


def asked(options: argparse.Namespace) -> bool:
    """Whether anything is to be laid beside the run."""
    return any(
        one is not None for one in (options.compare, options.compare_model, options.compare_head, options.compare_run)
    )


def run(model: Model, texts: list[str], options: argparse.Namespace) -> None:
    """Prints the table of `investigate TEXT --compare …`. Errors: as `sides`, and for not one text."""
    if len(texts) != 1:
        raise InvalidParameterError(f"--compare takes one text beside the other one, not {len(texts)}")
    check(model)
    printed(sides(model, model.run(texts[0]), options), csv=options.csv)


def check(model: Model) -> None:
    """Errors: InvalidParameterError for a model that does not read one text."""
    title = model.info.title
    if model.reads != "text":
        raise InvalidParameterError(f"{title} reads {model.reads}s: --compare takes a model that reads a text")
    if model.transformer.config.kind == "encoder-decoder":
        raise InvalidParameterError(f"{title} reads two texts, one per stack: --compare takes a model that reads one")


def sides(model: Model, trace: Trace, options: argparse.Namespace) -> Sides:
    """A run and what is laid beside it: the same but for what the options name.

    Errors: InvalidParameterError, also for a model with other tokens; ModelError.
    """
    head = None if options.compare_head is None else comparison.head_in(options.compare_head)
    change = trace.intervention if options.compare_run is None else change_in(options.compare_run)
    other = model
    if options.compare_model is not None:
        from attnviz.models.catalogue import load

        other = load(options.compare_model)
        check(other)
        if other.tokenizer.to_json() != model.tokenizer.to_json():
            titles = f"{model.info.title} and {other.info.title}"
            raise InvalidParameterError(f"{titles} read text in different tokens: they cannot be laid side by side")
    text = trace.encodings[0].text if options.compare is None else options.compare
    return Sides(trace, other.run(text, intervention=change), head)


def change_in(written: str) -> Intervention:
    """A run as a command line names it, such as "causal,temperature=2". Errors: InvalidParameterError."""
    fields: dict[str, Any] = {}
    off: dict[Head, float] = {}
    for one in filter(None, map(str.strip, written.split(","))):
        name, _, value = one.partition("=")
        if one in RUNS:
            fields |= RUNS[one]
        elif name == "temperature":
            fields[name] = _number(value)
        elif name == "off":
            off[comparison.head_in(value)] = 0.0
        else:
            raise InvalidParameterError(f"“{one[:40]}” is no change of a run: there are {CHANGES}")
    return Intervention(**fields, head_scale=off)


def _number(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        raise InvalidParameterError(f"“{written[:40]}” is no temperature: name a number, such as 2") from None


def printed(beside: Sides, *, csv: Path | None = None) -> None:
    """Prints the heads whose attention goes elsewhere most in B, and the cell of each that differs most.

    `csv`: a file for all heads. Errors: InvalidParameterError, OSError.
    """
    from rich.table import Table
    from rich.text import Text

    heads = []
    for head, found in comparison.each_head(beside):
        heads.append((head, float(found.moved.mean()), next(iter(comparison.strongest(found, 1)), None)))
        n_both = len(found.pairs)
    labels, n_there = beside.a.encodings[0].labels, len(beside.b.encodings[0])
    out, table = terminal.console(), Table(box=None, pad_edge=False)
    for name in ("layer", "head", "elsewhere"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("the largest difference")
    for name in ("text", "other"):
        table.add_column(name, justify="right", no_wrap=True)
    for head, elsewhere, cell in sorted(heads, key=lambda one: -one[1])[:PRINTED]:
        words = Text("none" if cell is None else f"“{labels[cell.query[0]]}” at “{labels[cell.key[0]]}”")
        weights = ("", "") if cell is None else (percent(cell.a), percent(cell.b))
        table.add_row(*map(str, head), percent(elsewhere), words, *weights)
    out.print(f"The texts have {counted(n_both, 'token')} in common, of {len(labels)} and {n_there}.")
    if note := cut_off(*(one.encodings[0].cut for one in (beside.a, beside.b))):
        out.print(note)
    out.print(table)
    than = "in the other run" if beside.head_b is None else "than layer {}, head {}".format(*beside.head_b)
    out.print(f"Elsewhere: how much of its attention a token spends otherwise {than}, on average.")
    if csv is not None:
        rows = []
        for head, elsewhere, cell in heads:
            about = ("", "", "", "") if cell is None else (cell.query[0], cell.key[0], cell.a, cell.b)
            rows.append((*head, elsewhere, *about))
        write_whole(csv, csv_bytes(FIELDS, rows, digits=6))
