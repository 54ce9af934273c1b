"""The sentences of the page "Generate", written from its numbers."""

from __future__ import annotations

from attnviz.analysis.scaling import NextTokens
from attnviz.analysis.sinks import Sink
from attnviz.formatting import percent
from attnviz.web.generate.scene import MAX_NEW_TOKENS, Scene

BETTER, WORSE, SAME = "It predicts better", "It predicts worse", "Nothing changes"
GUESSES = (BETTER, WORSE, SAME)
ALIKE, CLEAR = 0.05, 0.1  # nats per token: less is no difference to speak of, more is one to ask about
LEANS = 1.5  # times the even share: from here on the heads lean on the first token
LONGEST_CONTEXT = 60  # characters of the text before a token


def instead(title: str, kind: str, fallback: str) -> str:
    """Why another model than the sidebar's goes on with the text."""
    reads = "reads a text in both directions" if kind == "encoder" else "answers a text instead of going on with it"
    return f"{title} {reads} and predicts no next word. This page uses {fallback} instead."


def left_out(n_tokens: int, longest: int, room: int) -> str:
    """How much of the text the model does not get."""
    tokens = "The first token of your text is" if n_tokens == 1 else f"The first {n_tokens:,} tokens of your text are"
    return f"At most {longest} tokens are read, {room} of them for what comes next. {tokens} left out."


def context(scene: Scene) -> str:
    """The last few words before the place that is asked for, their tokens if they are no words; "" at the start."""
    encoding, tokenizer = scene.run.encodings[0], scene.model.tokenizer
    parts = tokenizer.decode(encoding.ids[: scene.focus]).split()
    if not parts:
        starts = (tokenizer.bos_id, tokenizer.cls_id)
        parts = [encoding.labels[i] for i in range(scene.focus) if i or encoding.ids[i] not in starts]
    short = " ".join(parts[-5:])
    if len(short) > LONGEST_CONTEXT:
        return f"…{short[-LONGEST_CONTEXT:]}"
    return f"… {short}" if len(parts) > 5 else short


def next_sentence(scene: Scene, layer: int, head: int) -> str:
    """The likeliest token at the place asked for, and what the token before it looks at most."""
    p = scene.probabilities()
    best = int(p.argmax())
    row = scene.row(layer, head)
    most = int(row.argmax())
    looker = scene.labels[scene.focus - 1]
    seen = "itself" if most == scene.focus - 1 else f"“{scene.labels[most]}”"
    share = percent(float(row[most]))
    looks = f"The token before it, “{looker}”, looks most at {seen} in layer {layer}, head {head}: {share}."
    start = f"After “{before}”, " if (before := context(scene)) else "At the start, "
    likeliest = f"“{scene.label(best)}” is likeliest with {percent(float(p[best]))}"
    if scene.focus == scene.n_tokens:
        return f"{start}{likeliest}. {looks}"
    here = scene.run.encodings[0].ids[scene.focus]
    if here == best:
        return f"{start}the text has “{scene.label(here)}”, the likeliest token with {percent(float(p[best]))}. {looks}"
    rank = int((p > p[here]).sum()) + 1
    if float(p[here]) == 0:
        return f"{start}the text has “{scene.label(here)}”, which could not be drawn now; {likeliest}. {looks}"
    stands = f"the text has “{scene.label(here)}”, number {rank:,} with {percent(float(p[here]))}"
    return f"{start}{stands}; {likeliest}. {looks}"


def heading(scene: Scene) -> str:
    """Above the candidates."""
    if scene.focus == scene.n_tokens:
        return "What may come next: choose one to say it"
    if scene.focus < len(scene.prompt.start):
        return f"What the model expects at position {scene.focus}; your own words are changed in the sidebar"
    return f"What may stand at position {scene.focus}: choose one, and what follows is forgotten"


def ended(scene: Scene) -> str:
    """Why nothing follows; "" if something may."""
    if not scene.ended:
        return ""
    if scene.ended_by_model:
        return "The model has ended the text. Take a token back, or choose one to branch there."
    if len(scene.continuation) >= MAX_NEW_TOKENS:
        return (
            f"{MAX_NEW_TOKENS} tokens are said, as many as this page keeps. "
            "Take some back, or choose one to branch there."
        )
    return f"The model reads {scene.prompt.longest} tokens, and the text has as many."


TWO_TEMPERATURES = (
    "The attention temperature τ makes every row of attention sharper or more even, so each layer computes other "
    "vectors. The sampling temperature T changes no vector: it divides the finished logits, so that the probabilities "
    "become sharper or more even, and a token is drawn from them."
)


def where(scene: Scene) -> str:
    """After what the tokens are likely that the page lists."""
    before = context(scene)
    return f"after “{before}”" if before else "at the start"


def temperatures(likeliest: NextTokens, labels: tuple[str, ...], inside: float, outside: float) -> str:
    """What each of the two temperatures does to the likeliest token."""
    first = labels[0]
    at_1, within, outer = likeliest.plain[0], likeliest.inside[0], likeliest.outside[0]
    if inside == 1 and outside == 1:
        return f"Both stand at 1: “{first}” has {percent(at_1)}. Move one of them."
    sampled = f"T = {outside:g} alone gives “{first}” {percent(outer)} instead of {percent(at_1)}, and it stays first."
    if inside == 1:
        return sampled
    before, now = percent(at_1), percent(within)
    goes = f"stays at {now}" if before == now else f"goes from {before} to {now}"
    moved = f"With τ = {inside:g}, “{first}” {goes}"
    order = "" if likeliest.first_inside[0] == likeliest.ids[0] else ", and another token is the likeliest"
    return f"{moved}{order}." + ("" if outside == 1 else f" {sampled}")


def sink_sentence(sink: Sink) -> str:
    """How much the heads look at the first token."""
    share = float(sink.shares.mean())
    layer, head = divmod(int(sink.shares.argmax()), sink.shares.shape[1])
    return (
        f"On average a head gives the first token {percent(share)} of its attention; sharing evenly would give it "
        f"{percent(sink.even)}. Layer {layer}, head {head} does so most: {percent(float(sink.shares.max()))}."
    )


def shares_title(sink: Sink) -> str:
    """Which head looks at it most."""
    layer, head = divmod(int(sink.shares.argmax()), sink.shares.shape[1])
    most = percent(float(sink.shares.max()))
    return f"Layer {layer}, head {head} gives the first token {most} of its attention (all heads, %)"


def loss_title(sink: Sink) -> str:
    """What forbidding it does."""
    before, now = sink.losses.mean(dim=1).tolist()
    return (
        f"First token forbidden: loss {before:.2f} → {now:.2f}\u202fnats per token, "
        f"the top prediction changes at {percent(1 - sink.same)} of positions"
    )


def sink_prediction(sink: Sink) -> tuple[str, tuple[str, ...], str, str] | None:
    """What forbidding the first token does, as `Lesson.predict` takes it; None where it can hardly be told."""
    before, after = sink.losses.mean(dim=1).tolist()
    change = after - before
    if ALIKE < abs(change) < CLEAR:
        return None
    losses = f"The loss goes from {before:.3f} to {after:.3f}\u202fnats per token."
    if abs(change) <= ALIKE:
        truth, why = SAME, "What the heads took from the first token mattered little, or stands elsewhere too."
    elif change < 0:
        truth, why = BETTER, "On this text, the tokens that the heads then look at say more about what follows."
    else:
        truth, why = WORSE, "What the heads took from the first token is missing, and other tokens come in its place."
        if float(sink.shares.mean()) > LEANS * sink.even:
            why = (
                "A softmax has to give its weight to something, and a head that finds nothing to add gives it to the "
                "first token (Xiao et al. 2024). Now it goes to tokens that do add something, and disturbs the rest."
            )
    asks = "Nobody may look at the first token any more. What happens to the predictions?"
    return asks, GUESSES, truth, f"{why} {losses}"
