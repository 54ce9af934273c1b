"""The sentences of the page "Replay", written from the numbers of the checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.formatting import percent
from attnviz.nn import positions
from attnviz.nn.trace import Trace
from attnviz.training.tasks.sequences import Scores

if TYPE_CHECKING:
    from attnviz.web.replay.state import Head, Replay

SAME, WEAKER, LOST = "It stays as it is", "It gets weaker", "It is lost"
GUESSES = (SAME, WEAKER, LOST)


def sentence(replay: Replay, at: int, without: Scores | None) -> str:
    """What the two heads do at a checkpoint; `without`: the scores with the first one switched off, if it is."""
    (layer, head), (first_layer, first_head) = replay.induction, replay.previous
    scores = replay.scores[at] if without is None else without
    when = "Before any training" if replay.steps[at] == 0 else f"After {replay.steps[at]:,} steps"
    if without is not None:
        when += f", with layer {first_layer}, head {first_head} switched off"
    share = percent(float(scores.induction[layer, head]))
    does = (
        f"{when}, layer {layer}, head {head} puts {share} of its attention on the word that came next "
        "when the present word stood here first"
    )
    if without is not None:
        return (
            f"{does}, instead of {percent(replay.scored('induction', at))}. The loss on the second time is "
            f"{scores.again:.2f} nats a word, instead of {replay.scores[at].again:.2f}."
        )
    return (
        f"{does}; layer {first_layer}, head {first_head} puts {percent(replay.scored('previous', at))} on the word "
        f"just before. The second time the words come, the loss is {scores.again:.2f} nats a word; the first time, "
        f"when nobody can know them, {scores.first:.2f}."
    )


def at_token(trace: Trace, head: Head, token: int, n_words: int) -> str:
    """What the head does at the query that is looked at; "" for one of the first `n_words`."""
    labels = trace.encodings[0].labels
    if not n_words < token < len(labels):
        return ""
    weights = trace.layers[head[0]].attention.weights[0, head[1], token]
    target, top = token - n_words + 1, int(weights.argmax())
    gives = (
        f"At the second “{labels[token]}” it gives {percent(float(weights[target]))} to “{labels[target]}”, which "
        "followed the first"
    )
    if top == target:
        return f"{gives}: more than to any other."
    return f"{gives}; most, {percent(float(weights[top]))}, goes to “{labels[top]}” at {top}."


def prediction(replay: Replay, without: Scores) -> tuple[str, Sequence[str], str, str]:
    """Question, options, truth and reason: what becomes of the induction head, in the end, without the other one."""
    last, (layer, head) = len(replay.steps) - 1, replay.previous
    with_it, without_it = replay.scored("induction", last), float(without.induction[replay.induction])
    kept = without_it / with_it
    truth = SAME if kept > 0.9 else WEAKER if kept > 0.1 else LOST
    question = f"When training is over, layer {layer}, head {head} is switched off. What becomes of the induction head?"
    because = (
        f"What it puts on the word that came next last time falls from {percent(with_it)} to {percent(without_it)}: it "
        f"looks for what layer {layer}, head {head} wrote there, “before me stood this word”."
    )
    return question, GUESSES, truth, because


def matrix_title(layer: int, head: int, role: str, off: bool) -> str:
    """Which head a matrix shows, and what to look for in it."""
    if role == "induction":
        return f"Layer {layer}, head {head}: what came next last time?"
    return f"Layer {layer}, head {head}: {'switched off' if off else 'the word before?'}"


def from_the_start(replay: Replay) -> str:
    """Why one head looks back without having learned it."""
    layer, head = replay.previous
    slope = float(positions.alibi_slopes(replay.history.config.n_heads)[head])
    first, last = (percent(replay.scored("previous", at)) for at in (0, len(replay.steps) - 1))
    return (
        f"Layer {layer}, head {head} looks just behind itself from the start, {first} on the word before, and in the "
        f"end {last}: ALiBi lowers its scores by {slope:g} per word of distance. What it learns is what to write "
        f"there, and layer {replay.induction[0]}, head {replay.induction[1]} learns to look for it."
    )


def title(replay: Replay) -> str:
    """The point of the curves."""
    at = replay.forming
    before, after = (percent(replay.scored("induction", i)) for i in (at, at + 1))
    return f"It forms fastest from step {replay.steps[at]:,} to {replay.steps[at + 1]:,}: {before} become {after}"


def marks(replay: Replay) -> dict[int, str]:
    """Words under the dial."""
    return {replay.steps[0]: "untrained", replay.steps[replay.forming]: "the head forms", replay.steps[-1]: "trained"}
