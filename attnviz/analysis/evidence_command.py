"""python -m attnviz investigate TEXT --attributions: what a prediction owes to each token, as a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz.analysis import agreement, evidence, outcomes, predictions
from attnviz.analysis.agreement import Correlation
from attnviz.analysis.evidence import METHODS, Evidence, Method
from attnviz.analysis.predictions import Prediction
from attnviz.errors import InvalidParameterError
from attnviz.formatting import csv_bytes, cut_off, number, percent
from attnviz.inputs import terminal
from attnviz.inputs.atomic_write import write_whole

if TYPE_CHECKING:
    from attnviz.models.model import Model
    from attnviz.nn.trace import Trace

SHARES: tuple[Method, ...] = ("attention", "rollout", "flow", "norm")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `run` reads beside the text; and `--token`, which `--patch` has too."""
    parser.add_argument("--attributions", action="store_true", help="what the prediction owes to each token of a text")
    parser.add_argument("--layer", type=int, metavar="N", help="with --attributions: attention of one layer (all)")
    parser.add_argument("--hide", type=int, metavar="N", help="with --attributions: the token to hide and fill in")


def run(model: Model, texts: Sequence[str], options: argparse.Namespace) -> None:
    """`explain` as the command line asks for it. Errors: as there, and InvalidParameterError for not one text."""
    if len(texts) != 1:
        raise InvalidParameterError(f"--attributions takes one text, not {len(texts)}")
    explain(model, texts[0], token=options.token, layer=options.layer, hide=options.hide, csv=options.csv)


def explain(
    model: Model,
    text: str,
    *,
    token: str = "",
    layer: int | None = None,
    hide: int | None = None,
    csv: Path | None = None,
) -> None:
    """Prints every measure of every token, and how well each agrees with the erasures.

    Arguments
        token: whose logit is explained; the likeliest by default.
        layer: as for `evidence.gathered`.
        hide: the position of a token that the mask token takes the place of, and which is filled in.
        csv: a file for the measures.

    Errors: InvalidParameterError, ModelError, OSError.
    """
    from rich.table import Table
    from rich.text import Text

    trace = _trace(model, text, hide)
    asked = predictions.predicted(trace, _token(model, token) if token else None, position=hide)
    found = evidence.gathered(model, trace, asked, layer=layer)
    methods = [method for method in METHODS if method in found.values]
    labels = trace.encodings[0].labels
    out, table = terminal.console(), Table(box=None, pad_edge=False)
    for title in ("", "token", *methods):
        table.add_column(title, justify="left" if title == "token" else "right", no_wrap=True)
    for i, label in enumerate(labels):
        cells = [_written(method, float(found.values[method][i])) for method in methods]
        table.add_row(str(i), Text(label), *cells)
    out.print(Text(_named(model, trace, asked)))
    if note := cut_off(trace.encodings[0].cut):
        out.print(note)
    out.print(table)
    for method, why in found.missing.items():
        out.print(Text(f"{method}: not here, for {why}."))
    out.print(Text(_agreement(found)))
    if csv is not None:
        rows = (
            (i, label, i in found.own, *(float(found.values[one][i]) for one in methods))
            for i, label in enumerate(labels)
        )
        write_whole(csv, csv_bytes(("position", "token", "compared", *methods), rows, digits=6))


def _trace(model: Model, text: str, hide: int | None) -> Trace:
    if hide is None:
        return model.run(text)
    ids, mask = list(model.encode(text).ids), model.tokenizer.mask_id
    if mask is None:
        raise InvalidParameterError(f"{model.info.title} has no mask token to hide one behind")
    if not 0 <= hide < len(ids):
        raise InvalidParameterError(f"position {hide} of {len(ids)} (counted from 0)")
    ids[hide] = mask
    return model.run(ids)


def _token(model: Model, written: str) -> int:
    """The id of a token: inside a text, so after a space, where there are both. Errors: InvalidParameterError."""
    try:
        return outcomes.one_token(model, f" {written.strip()}")
    except InvalidParameterError:
        return outcomes.one_token(model, written)


def _written(method: Method, value: float) -> str:
    return percent(value) if method in SHARES else number(value, 3)


def _named(model: Model, trace: Trace, asked: Prediction) -> str:
    value = number(predictions.of_run(asked, trace), 3)
    if asked.kind == "embedding":
        return f"{model.info.title}: the embedding along its own direction, {value}"
    assert asked.target is not None
    if asked.kind == "class":
        name = model.classes[asked.target] if asked.target < len(model.classes) else f"class {asked.target}"
        return f"{model.info.title}: the logit of “{name}”, {value}"
    name = model.tokenizer.encoding([asked.target]).labels[0]
    return f"{model.info.title}: the logit of “{name}” at position {asked.rows[0]}, {value}"


def _agreement(found: Evidence) -> str:
    """The rank correlations, a line for each measure."""
    n = len(found.own)
    if n < agreement.LEAST:
        tokens = "1 token" if n == 1 else f"{n} tokens"
        return f"{tokens} to compare: no rank correlation of fewer than {agreement.LEAST} is meaningful."
    lines = [f"Order of {n} tokens against the erasures’ (Spearman, Kendall; 95 % intervals):"]
    for method in METHODS[:-1]:
        compared = found.compared(method)
        if compared is not None:
            lines.append(f"  {method:<10}  " + "   ".join(map(_correlation, compared)))
    return "\n".join(lines)


def _correlation(one: Correlation) -> str:
    if not one.is_there:
        return "no order"
    return number(one.value) + ("" if one.low != one.low else f" ({number(one.low)} to {number(one.high)})")
