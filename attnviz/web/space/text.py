"""What the page "Space" says about its points."""

from __future__ import annotations

from attnviz.analysis.space import NAMES, How
from attnviz.formatting import listed, number, percent, token_name
from attnviz.web.space.shown import Colour, Shown, What

WHATS: dict[What, str] = {
    "tokens": "Tokens",
    "heads": "Queries and keys",
    "table": "Embedding table",
}
COLOURS: dict[Colour, str] = {
    "token": "kind of token",
    "position": "position",
    "norm": "norm",
    "weight": "weight in the head",
}
POINTS = "Press a point to choose its token. A name that would cover another one is left out: point at its point."
KEPT: dict[How, str] = {
    "pca": "PCA casts a straight shadow: what lies along the line of sight is lost.",
    "tsne": (
        "t-SNE keeps who is near whom: distances between groups and sizes of groups mean nothing, and another seed "
        "gives another picture."
    ),
    "neighbours": (
        "Isomap keeps the lengths of the ways along a graph of each point’s eight nearest neighbours; groups that no "
        "neighbour connects are joined by their shortest gap."
    ),
}
CLOSENESS = (
    "How near a query and a key stand says little: the score q·k is no distance, and a long key in the query’s "
    "direction scores high from far away."
)
MATCHES = "Nearest is by the angle between vectors, in all their dimensions: not by what the picture keeps."
OF_TABLE = (
    "Nearest is by the angle, among all rows of the table; the picture shows the text’s tokens, these neighbours and "
    "300 rows drawn by the seed."
)
CANCELLED = "Cancelled: the points have no places yet."
KINDS = "Blue: words. Amber: pieces that go on with a word. Green: signs. Grey: special tokens."
AMOUNTS: dict[Colour, str] = {
    "token": "",
    "position": "The stronger the blue, the later in the text. Empty: not in the text.",
    "norm": "The stronger the blue, the longer the vector.",
    "weight": (
        "The stronger the blue, the more attention the chosen token gives it in the chosen head (√). Empty: a query, "
        "or not in the text."
    ),
}


def sentence(shown: Shown) -> str:
    """What is near the chosen token, and how much the picture keeps."""
    label = shown.labels[shown.token]
    name = f"“{label if shown.what == 'table' else token_name(shown.labels, shown.token)}”"
    if shown.what == "heads":
        start = _scored(shown, name)
    elif not shown.neighbours:
        start = f"{name} is the only point."
    else:
        near = [f"“{one.name}” ({number(one.cosine)})" for one in shown.neighbours[:3]]
        start = f"Nearest to {name} by the cosine of the angle: {listed(near)}."
    return f"{start} {keeps(shown)}".rstrip()


def _scored(shown: Shown, name: str) -> str:
    if not shown.neighbours:
        return f"{name} may look at no token."
    best = shown.neighbours[0]
    closest = min(shown.neighbours, key=lambda one: one.distance)
    assert best.score is not None and best.weight is not None
    gives = f"{number(best.score)}, and gives it {percent(best.weight)}"
    start = f"The query of {name} scores the key of “{best.name}” highest, {gives}."
    if closest is best:
        return start
    return f"{start} Nearer to it of those in the table is the key of “{closest.name}”."


def keeps(shown: Shown) -> str:
    """How much of the variance PCA's axes hold; "" of the others."""
    if shown.how != "pca":
        return ""
    where = "The plane" if shown.dims == 2 else "The three axes"
    parts = " + ".join(percent(one) for one in shown.places.explained)
    total = percent(sum(shown.places.explained))
    return f"{where} {'keeps' if shown.dims == 2 else 'keep'} {total} of the variance ({parts})."


def axes(shown: Shown, turn: int) -> tuple[str, str]:
    """The titles of the picture's axes."""
    if shown.how == "tsne":
        names = ["first axis, no unit", "second axis, no unit"]
    elif shown.how == "neighbours":
        names = ["first axis, length along the graph", "second axis"]
    else:
        shares = [percent(one) for one in shown.places.explained]
        names = [f"first component, {shares[0]}", f"second component, {shares[1]}"]
    return (f"turned by {turn}° about the second axis", names[1]) if shown.dims == 3 else (names[0], names[1])


def title(shown: Shown) -> str:
    """Above the picture."""
    if shown.what == "table":
        return f"Rows of {shown.title}’s embedding table"
    if shown.what == "heads":
        return f"Queries and keys of layer {shown.layer}, head {shown.head}"
    if shown.layer == shown.n_layers:
        return "Tokens as they leave the last layer"
    return f"Tokens as they go into layer {shown.layer}"


def alternative(shown: Shown) -> str:
    """The picture for who cannot see it."""
    shapes = " Circles are queries, diamonds keys." if shown.what == "heads" else ""
    start = f"{len(shown.points)} points by {NAMES[shown.how]}, coloured by {COLOURS[shown.by]}."
    return f"{start}{shapes} {sentence(shown)}"


def legend(shown: Shown) -> str:
    """What colours and shapes mean."""
    shapes = "Circles: queries; diamonds: keys. " if shown.what == "heads" else ""
    return f"{shapes}{KINDS if shown.by == 'token' else AMOUNTS[shown.by]}"


def caption(shown: Shown) -> str:
    """What nearness means here, and what the way of placing keeps."""
    means = {"tokens": MATCHES, "heads": CLOSENESS, "table": OF_TABLE}[shown.what]
    return f"{means} {KEPT[shown.how]}"


def about(shown: Shown, point: int) -> str:
    """A point, for who points at it."""
    one = shown.points[point]
    side = "" if shown.what != "heads" else "key of " if one.is_key else "query of "
    place = "" if one.position is None else f", position {one.position}"
    return f"{side}{one.name}{place}: norm {number(float(shown.norms[point]))}"
