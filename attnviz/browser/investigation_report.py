"""An investigation to keep: one HTML file with the heads' roles, cards, sweep, attribution and measures, and the view.

Nothing in it needs a server: every table stands in the file once more as CSV, behind a link that holds its text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from attnviz.analysis import cards_file, cards_text, investigation, roles
from attnviz.analysis.investigation import Head, Investigation
from attnviz.browser import comparison_report, prediction_report, report
from attnviz.browser.bundle import FOLDER
from attnviz.browser.report_tables import Cell, Table, fills, table
from attnviz.browser.view_state import DEFAULT, ViewState
from attnviz.figures.heads import KIND_OF, KINDS, SHORT
from attnviz.figures.palette import DARK, LIGHT
from attnviz.formatting import percent

if TYPE_CHECKING:
    import jinja2

    from attnviz.analysis.comparison import Sides
    from attnviz.models.model import Model
    from attnviz.nn.trace import Trace

NAMED = 6  # parts of a score
LONGEST = 400  # characters of a text that stands in the file; the view has all that was read


def html(found: Investigation, *, state: ViewState | None = None) -> str:
    """One self-contained page of an investigation; it opens without a network. `state`: of the interactive view."""
    labels = _labels(found)
    lead = _template().render(
        title=found.title,
        text=_read(found),
        missing=found.missing,
        fills=[fills(palette) for palette in (LIGHT, DARK)],
        **_roles(found),
        cards=[_card(found, head) for head in found.chosen],
        sweep=prediction_report.sweep(found),
        logits=prediction_report.logits(found),
        **prediction_report.evidence(found, labels),
        compared=comparison_report.compared(found),
    )
    title = f"Investigation: {report._title(found.trace, 0)}"
    return report.html(found.trace, title=title, lead=lead, state=state or _opens(found))


def command(model: Model, trace: Trace, chosen: Sequence[Head] = (), sides: Sides | None = None) -> str:
    """The same for `report --investigate`: with the cards that come with the model, saying what is looked at."""
    from rich.console import Console

    stored = cards_file.shipped(model.info.name)
    if stored is not None and stored.model != cards_file.fingerprint(model):
        stored = None  # another model of that name
    with Console(stderr=True).status("Looking …") as status:

        def each(part: str) -> None:
            status.update(f"Looking at {part} …")

        beside = None if sides is None else lambda: sides
        return html(investigation.investigate(model, trace, stored=stored, chosen=chosen, beside=beside, each=each))


def _opens(found: Investigation) -> ViewState:
    """The view on the first chosen head."""
    if not found.chosen:
        return DEFAULT
    layer, head = found.chosen[0]
    return ViewState(layer=layer, head=head)


def _labels(found: Investigation) -> list[str]:
    return [report._plain(one) for one in report._labels(found.asked, "self", 0)[0]]


def _read(found: Investigation) -> str:
    """The text, of a model that reads two both, "" of an image or a sound."""
    if found.trace.config.channels:
        return ""
    both = (found.trace.source, found.trace)
    return " → ".join(_short(one.encodings[0].text) for one in both if one is not None and one.encodings)


def _short(text: str) -> str:
    plain = report._plain(text)
    return plain if len(plain) <= LONGEST else plain[:LONGEST] + "…"


# ---- roles and cards -------------------------------------------------------------------------------------------


def _roles(found: Investigation) -> dict[str, Any]:
    if found.cards is None:
        return {"roles": None, "summary": "", "measures": None, "legend": "", "few": ""}
    known = found.cards.roles
    cells = [
        [
            Cell(
                SHORT.get(name, name),
                f"k{1 + KINDS.index(KIND_OF[name])}" if name else "k0",
                f"layer {y}, head {x}: {name or 'no role'}",
            )
            for x, name in enumerate(row)
        ]
        for y, row in enumerate(known.names)
    ]
    named = [(y, x, name) for y, row in enumerate(known.names) for x, name in enumerate(row)]
    columns = ("layer", *map(str, range(known.score.shape[2])))
    lines = [
        (y, x, name, measure, *(float(getattr(known, one)[m, y, x]) for one in ("score", "low", "high", "chance")))
        for y, x, name in named
        for m, measure in enumerate(roles.MEASURES)
    ]
    fields = ("layer", "head", "role", "measure", "score", "low", "high", "chance")
    rows = [(Cell(str(y)), *row) for y, row in enumerate(cells)]
    listed = [
        (Cell(str(y)), Cell(str(x)), Cell(name), *_measured(found, roles.MEASURES.index(name), (y, x)))
        for y, x, name in named
        if name
    ]
    return {
        "roles": table("Roles of all heads", columns, rows, "roles.csv", fields, lines, is_map=True),
        "measures": listed,
        "summary": cards_text.summary(found.title, known.names, found.where),
        "legend": cards_text.LEGEND,
        "few": cards_text.too_few(int(known.queries[-1])) if int(known.queries[-1]) < roles.LEAST_QUERIES else "",
    }


def _measured(found: Investigation, measure: int, head: Head) -> tuple[Cell, Cell, Cell]:
    """A measure of a head: its share, interval and chance."""
    assert found.cards is not None
    known, place = found.cards.roles, (measure, *head)
    score, low, high, chance = (float(one[place]) for one in (known.score, known.low, known.high, known.chance))
    if math.isnan(score):
        return Cell("–"), Cell(""), Cell("")
    even = "" if math.isnan(chance) else percent(chance)
    return Cell(percent(score)), Cell(cards_text.interval(low, high)), Cell(even)


def _card(found: Investigation, head: Head) -> dict[str, Any]:
    assert found.cards is not None
    known, (layer, number_) = found.cards.roles, head
    measures = table(
        f"All measures of layer {layer}, head {number_}",
        ("looks at", "share", "95\u202f% interval", "chance"),
        [(Cell(cards_text.MEASURES[name]), *_measured(found, m, head)) for m, name in enumerate(roles.MEASURES)],
        f"measures-{layer}-{number_}.csv",
        ("measure", "score", "low", "high", "chance"),
        [
            (name, *(float(getattr(known, one)[m, layer, number_]) for one in ("score", "low", "high", "chance")))
            for m, name in enumerate(roles.MEASURES)
        ],
    )
    lost, copied = found.cards.lost, found.copying
    return {
        "title": f"Layer {layer}, head {number_}",
        "sentence": cards_text.card(known, layer, number_, found.where),
        "measures": measures,
        "examples": _examples(found, head),
        "lost": cards_text.CANNOT_LOSE if lost is None else cards_text.lost(lost, layer, number_, found.where),
        "copies": "" if copied is None else cards_text.copies(float(copied[head]), found.trace.config.head_dim),
        "cost": "" if lost is None else cards_text.cost(lost, layer, number_, found.where),
        "reads": _reads(found, head),
    }


def _examples(found: Investigation, head: Head) -> Table | None:
    assert found.cards is not None
    examples, by_query = found.cards.examples[head[0]][head[1]], len(found.texts) == 1
    if not examples:
        return None
    labels = report._labels(found.trace, "self", 0)[0]
    rows, lines = [], []
    for one in examples:
        source = found.texts[one.text]
        place = cards_text.rank(one, by_query=by_query)
        what = labels[one.query] if by_query else source
        cell = f"{labels[one.query]} → {labels[one.key]}" if by_query else f"{one.query} → {one.key}"
        numbers = (percent(one.share), _short(cell), percent(one.weight))
        rows.append((Cell(_short(what), below=place), *map(Cell, numbers)))
        lines.append((what, place, one.share, one.query, one.key, one.weight))
    where = "strongest" if by_query else "positions"
    return table(
        "Examples, the best first",
        ("example", "share", where, "weight"),
        rows,
        f"examples-{head[0]}-{head[1]}.csv",
        ("example", "place", "share", "query", "key", "weight"),
        lines,
    )


def _reads(found: Investigation, head: Head) -> dict[str, Any] | None:
    reading = found.readings.get(head)
    if reading is None:
        return None
    parts = reading.parts
    terms = list(zip(parts.parts, parts.by_key.tolist(), strict=True))
    query, key = (report._plain(reading.labels[one]) for one in (reading.example.query, reading.example.key))
    largest = sorted(terms, key=lambda one: -abs(one[1]))[:NAMED]
    rows = [(Cell(str(part)), Cell(cards_text.signed(term))) for part, term in largest]
    others = parts.score - sum(term for _, term in largest) - parts.added
    if len(terms) > NAMED:
        rows.append((Cell(f"{len(terms) - NAMED} others together"), Cell(cards_text.signed(others))))
    if parts.added:
        rows.append((Cell("what positions add to scores"), Cell(cards_text.signed(parts.added))))
    by_query = parts.by_query.tolist()
    lines = [(str(part), term, by_query[i]) for i, (part, term) in enumerate(terms)]
    return {
        "sentence": cards_text.reads(query, key, parts.score, reading.example.weight, terms),
        "table": table(
            f"Written into the key “{key}”",
            (f"written into “{key}”", "of the score"),
            rows,
            f"reads-from-{head[0]}-{head[1]}.csv",
            ("part", "by_key", "by_query"),
            lines,
        ),
    }


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string((FOLDER / "widgets/investigation.html").read_text("utf-8"))
