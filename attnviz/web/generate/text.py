"""What the page "Generate" says, written from its numbers."""

from __future__ import annotations

import pandas as pd
import torch

from attnviz.analysis.scaling import NextTokens
from attnviz.analysis.sinks import Sink
from attnviz.formatting import percent
from attnviz.web.generate.state import BETTER, SAME, WORSE, Scene

ALIKE = 0.05  # nats per token: less is no difference to speak of
LEANS = 1.5  # times the even share: from here on the heads lean on the first token
LONGEST_WORDS = 60  # characters of the text before a token


def after(now: Scene) -> str:
    """The last few words before the place that is asked for, their tokens if they are no words; "" at the start."""
    encoding = now.run.encodings[0]
    words = now.model.tokenizer.decode(encoding.ids[: now.focus]).split()
    if not words:
        none = (now.model.tokenizer.bos_id, now.model.tokenizer.cls_id)
        words = [encoding.labels[i] for i in range(now.focus) if i or encoding.ids[i] not in none]
    short = " ".join(words[-5:])
    if len(short) > LONGEST_WORDS:
        return f"…{short[-LONGEST_WORDS:]}"
    return f"… {short}" if len(words) > 5 else short


def next_sentence(now: Scene, layer: int, head: int) -> str:
    """The likeliest token at the place asked for, and what the token before it looks at most."""
    p = now.probabilities()
    best = int(p.argmax())
    row = now.row(layer, head)
    most = int(row.argmax())
    looker = now.labels[now.focus - 1]
    seen = "itself" if most == now.focus - 1 else f"“{now.labels[most]}”"
    looks = f"To say it, “{looker}” looks most at {seen} in layer {layer}, head {head}: {percent(float(row[most]))}."
    start = f"After “{before}”, " if (before := after(now)) else "At the start, "
    likeliest = f"“{now.label(best)}” is likeliest with {percent(float(p[best]))}"
    if now.focus == now.n_tokens:
        return f"{start}{likeliest}. {looks}"
    here = now.run.encodings[0].ids[now.focus]
    if here == best:
        return f"{start}“{now.label(here)}” stands, and is the likeliest token with {percent(float(p[best]))}. {looks}"
    rank = int((p > p[here]).sum()) + 1
    if float(p[here]) == 0:
        return f"{start}“{now.label(here)}” stands, which could not be drawn now; {likeliest}. {looks}"
    stands = f"“{now.label(here)}” stands, number {rank:,} with {percent(float(p[here]))}"
    return f"{start}{stands}; {likeliest}. {looks}"


def heading(now: Scene) -> str:
    """Above the candidates."""
    if now.focus == now.n_tokens:
        return "What may come next: click one to say it"
    if now.focus < len(now.begin.start):
        return f"What the model expects at position {now.focus}; your own words are changed in the sidebar"
    return f"What may stand at position {now.focus}: click one, and what follows is forgotten"


def ended(now: Scene, most: int) -> str:
    """Why nothing follows; "" if something may."""
    if not now.ended:
        return ""
    if now.said and now.said[-1] == now.begin.end:
        return "The model has ended the text. Take a token back, or click one to branch there."
    if len(now.said) >= most:
        return f"{most} tokens are said, as many as this page keeps. Take some back, or click one to branch there."
    return f"The model reads {now.begin.longest} tokens, and the text has as many."


def temperatures(found: NextTokens, labels: tuple[str, ...], inside: float, outside: float) -> str:
    """What each of the two temperatures does to the likeliest token."""
    first = labels[0]
    at_1, within, drawn = found.plain[0], found.inside[0], found.outside[0]
    if inside == 1 and outside == 1:
        return f"Both stand at 1: “{first}” has {percent(at_1)}. Move one of them."
    own = f"{outside:g} on the output alone gives it {percent(drawn)}: the order of the tokens stays as it is."
    if inside == 1:
        return f"“{first}” has {percent(at_1)}. A temperature of {own}"
    before, now = percent(at_1), percent(within)
    goes = f"stays at {now}" if before == now else f"goes from {before} to {now}"
    moved = f"With τ = {inside:g} inside every attention row, “{first}” {goes}"
    order = "" if found.first_inside[0] == found.ids[0] else ", and another token is the likeliest"
    return f"{moved}{order}: the model computes something else." + ("" if outside == 1 else f" A temperature of {own}")


def sink_sentence(found: Sink) -> str:
    """How much the heads look at the first token."""
    share = float(found.shares.mean())
    layer, head = divmod(int(found.shares.argmax()), found.shares.shape[1])
    return (
        f"On average a head gives the first token {percent(share)} of its attention; looking at all alike would give "
        f"{percent(found.even)}. Most of all looks layer {layer}, head {head}: {percent(float(found.shares.max()))}."
    )


def shares_title(found: Sink) -> str:
    """Which head looks at it most."""
    layer, head = divmod(int(found.shares.argmax()), found.shares.shape[1])
    most = percent(float(found.shares.max()))
    return f"Layer {layer}, head {head} gives the first token {most} of its attention (all heads, %)"


def loss_title(found: Sink) -> str:
    """What forbidding it does."""
    before, now = found.losses.mean(dim=1).tolist()
    return (
        f"First token forbidden: loss {before:.2f} → {now:.2f} nats per token, "
        f"{percent(1 - found.same)} of the likeliest tokens are others"
    )


def sink_prediction(found: Sink) -> tuple[str, str, str]:
    """The question, the right answer, and the sentence that gives the numbers."""
    before, now = found.losses.mean(dim=1).tolist()
    truth = SAME if abs(now - before) < ALIKE else WORSE if now > before else BETTER
    because = f"The loss goes from {before:.2f} to {now:.2f} nats per token."
    if float(found.shares.mean()) > LEANS * found.even:
        because += (
            " Heads that have nothing to add put their attention on the first token, because a softmax has to give it "
            "to something"
        )
        because += "; take it away, and what they look at instead disturbs the others." if truth == WORSE else "."
    return "Nobody may look at the first token any more. What happens to the predictions?", truth, because


def shares_table(shares: torch.Tensor) -> pd.DataFrame:
    """Layer, head, share: a row per head."""
    n_layers, n_heads = shares.shape
    cells = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return pd.DataFrame(
        {"layer": [a for a, _ in cells], "head": [b for _, b in cells], "share": shares.flatten().tolist()}
    )
