"""What the page "Replay" says: sentences written from the numbers of the checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.formatting import percent
from attnviz.nn import positions
from attnviz.nn.trace import Trace
from attnviz.web.replay.state import GUESSES, LOST, N_WORDS, SAME, WEAKER, Head, Replay, without


def said(run: Replay, at: int, off: bool) -> str:
    """The sentence under the question."""
    found, (layer, head) = without(at) if off else run.scores[at], run.induction
    when = "Before any training" if run.steps[at] == 0 else f"After {run.steps[at]:,} steps"
    if off:
        when += f", with layer {run.previous[0]}, head {run.previous[1]} switched off"
    shares = float(found.induction[layer, head]), run.scored("previous", at)
    parts = [
        f"{when}, layer {layer}, head {head} puts {percent(shares[0])} of its attention on the word that came next "
        "when the present word stood here first"
    ]
    if off:
        parts.append(f", instead of {percent(run.scored('induction', at))}.")
        parts.append(f" The loss on the second time is {found.again:.2f} nats a word, instead of ")
        parts.append(f"{run.scores[at].again:.2f}.")
    else:
        parts.append(
            f"; layer {run.previous[0]}, head {run.previous[1]} puts {percent(shares[1])} on the word just before. "
        )
        parts.append(f"The second time the words come, the loss is {found.again:.2f} nats a word; ")
        parts.append(f"the first time, when nobody can know them, {found.first:.2f}.")
    return "".join(parts)


def at_the_token(found: Trace, head: Head, token: int) -> str:
    """What the head does at the query that is looked at; "" for one that has not been there before."""
    labels = found.encodings[0].labels
    if not N_WORDS < token < len(labels):
        return ""
    weights = found.layers[head[0]].attention.weights[0, head[1], token]
    target, top = token - N_WORDS + 1, int(weights.argmax())
    says = (
        f"At the second “{labels[token]}” it gives {percent(float(weights[target]))} to “{labels[target]}”, which "
        "followed the first"
    )
    if top == target:
        return f"{says}: more than to any other."
    return f"{says}; most, {percent(float(weights[top]))}, goes to “{labels[top]}” at {top}."


def prediction(run: Replay) -> tuple[str, Sequence[str], str, str]:
    """Question, options, truth and reason: what becomes of the induction head without the other one."""
    last, (layer, head) = len(run.steps) - 1, run.previous
    with_it, without_it = run.scored("induction", last), float(without(last).induction[run.induction])
    kept = without_it / with_it
    truth = SAME if kept > 0.9 else WEAKER if kept > 0.1 else LOST
    question = f"When training is over, layer {layer}, head {head} is switched off. What becomes of the induction head?"
    because = (
        f"What it puts on the word that came next last time falls from {percent(with_it)} to {percent(without_it)}: it "
        f"looks for what layer {layer}, head {head} wrote there, “before me stood this word”."
    )
    return question, GUESSES, truth, because


def from_the_start(run: Replay) -> str:
    """Why one head looks back without having learned it."""
    layer, head = run.previous
    slope = float(positions.alibi_slopes(run.history.config.n_heads)[head])
    first, last = (percent(run.scored("previous", at)) for at in (0, len(run.steps) - 1))
    return (
        f"Layer {layer}, head {head} looks just behind itself from the start, {first} on the word before, and in the "
        f"end {last}: ALiBi lowers its scores by {slope:g} per word of distance. What it learns is what to write "
        f"there, and layer {run.induction[0]}, head {run.induction[1]} learns to look for it."
    )


def title_of(run: Replay) -> str:
    """The point of the curves."""
    at = run.forming
    before, after = (percent(run.scored("induction", i)) for i in (at, at + 1))
    return f"It forms fastest from step {run.steps[at]:,} to {run.steps[at + 1]:,}: {before} become {after}"


def marks(run: Replay) -> dict[int, str]:
    """Words under the dial."""
    return {run.steps[0]: "untrained", run.steps[run.forming]: "the head forms", run.steps[-1]: "trained"}
