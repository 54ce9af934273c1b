"""The sentences of the page "Replay", written from the numbers of the checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.formatting import counted, percent
from attnviz.nn import positions
from attnviz.nn.trace import Trace
from attnviz.training.tasks.sequences import Scores

if TYPE_CHECKING:
    from attnviz.web.replay.state import Head, Replay

SAME, WEAKER, LOST = "It stays as it is", "It gets weaker", "It is lost"
GUESSES = (SAME, WEAKER, LOST)
EVENLY, FAST, LATE = "Evenly, a little with every step", "Fast at first, then ever slower", "Late, and then suddenly"
COURSES = (EVENLY, FAST, LATE)
SUDDEN = 0.2  # of the training at most, for what forms suddenly
FOLLOWED = "the word that followed this word’s first occurrence"


def sentence(replay: Replay, at: int, without: Scores | None) -> str:
    """What the two heads do at a checkpoint; `without`: the scores with the first one switched off, if it is."""
    (layer, head), (first_layer, first_head) = replay.induction, replay.previous
    scores = replay.scores[at] if without is None else without
    when = "Before any training" if replay.steps[at] == 0 else f"After {counted(replay.steps[at], 'step')}"
    if without is not None:
        when += f", with layer {first_layer}, head {first_head} switched off"
    does = f"{when}, layer {layer}, head {head} puts {percent(float(scores.induction[layer, head]))} of its attention"
    if without is not None:
        return (
            f"{does} on {FOLLOWED}, instead of {percent(replay.scored('induction', at))}. The loss on the second "
            f"occurrences is {scores.again:.2f}\u202fnats per word, instead of {replay.scores[at].again:.2f}."
        )
    return (
        f"{does} on {FOLLOWED}; layer {first_layer}, head {first_head} puts "
        f"{percent(replay.scored('previous', at))} on the previous word. The loss on the second occurrences is "
        f"{scores.again:.2f}\u202fnats per word; on the first occurrences, which nothing foretells, it is "
        f"{scores.first:.2f}."
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


def course(replay: Replay) -> tuple[str, Sequence[str], str, str]:
    """Question, options, truth and reason: how the induction head forms over the training."""
    begin, end = replay.rise
    first, last = replay.steps[begin], replay.steps[end]
    part = (last - first) / replay.steps[-1]
    truth = EVENLY if part > SUDDEN else FAST if first <= (last - first) / 2 else LATE
    question = f"How does the induction head form over the {replay.steps[-1]:,} steps?"
    before, after = (percent(replay.scored("induction", at)) for at in (begin, end))
    because = (
        f"From step {first:,} to {last:,}, {percent(part)} of the training, its attention on {FOLLOWED} goes from "
        f"{before} to {after}."
    )
    if truth == LATE:
        because += (
            " It takes two heads, one that writes into each word which word stood before it, and one above that looks "
            "for it. Neither helps without the other, so for long next to nothing improves; once both begin to fit, "
            "each makes the other worth more."
        )
    return question, COURSES, truth, because


def prediction(replay: Replay, without: Scores) -> tuple[str, Sequence[str], str, str]:
    """Question, options, truth and reason: what becomes of the induction head, in the end, without the other one."""
    last, (layer, head) = len(replay.steps) - 1, replay.previous
    with_it, without_it = replay.scored("induction", last), float(without.induction[replay.induction])
    kept = without_it / with_it
    truth = SAME if kept > 0.9 else WEAKER if kept > 0.1 else LOST
    question = f"After training, layer {layer}, head {head} is switched off. What becomes of the induction head?"
    because = (
        f"Its attention on {FOLLOWED} goes from {percent(with_it)} to {percent(without_it)}. It finds that word by "
        f"what layer {layer}, head {head} wrote into it, “before me stood …”, and now nothing is written there."
    )
    return question, GUESSES, truth, because


def matrix_title(layer: int, head: int, role: str, off: bool) -> str:
    """Which head a matrix shows, and what to look for in it."""
    if role == "induction":
        return f"Layer {layer}, head {head}: what followed last time?"
    return f"Layer {layer}, head {head}: {'switched off' if off else 'the previous word?'}"


def from_the_start(replay: Replay) -> str:
    """Why one head looks back without having learned it."""
    layer, head = replay.previous
    slope = float(positions.alibi_slopes(replay.history.config.n_heads)[head])
    first, last = (percent(replay.scored("previous", at)) for at in (0, len(replay.steps) - 1))
    return (
        f"Layer {layer}, head {head} looks at the previous word from the start: {first} before any training, {last} at "
        f"the end. ALiBi lowers its scores by {slope:g} per word of distance. It learns what to write there, and "
        f"layer {replay.induction[0]}, head {replay.induction[1]} learns to look for it."
    )


def first_time(replay: Replay, highest: int, on_seen: float, by_chance: float, n_words: int) -> str:
    """Why the loss on the first occurrences rises; `highest`: the checkpoint at which it is highest after its lowest.

    on_seen, by_chance: the probability that this checkpoint gives to words which came before, and an even guess does.
    """
    firsts = [one.first for one in replay.scores]
    return (
        f"Why the loss rises on the first occurrences, from {min(firsts):.2f} to {firsts[highest]:.2f}\u202fnats: the "
        f"training asks only for words that come again, so the model bets that every word does. At step "
        f"{replay.steps[highest]:,} it gives {percent(on_seen)} of the probability to words that have come already. "
        f"An even guess among all {n_words} gives them {percent(by_chance)}, and costs "
        f"{math.log(n_words):.2f}\u202fnats."
    )


def title(replay: Replay, without: Sequence[Scores] | None) -> str:
    """The point of the curves; `without`: the scores at every checkpoint with a head switched off, if one is."""
    if without is not None:
        best = max(float(one.induction[replay.induction]) for one in without)
        highest = max(replay.scored("induction", at) for at in range(len(replay.steps)))
        layer, head = replay.previous
        return f"Without layer {layer}, head {head} it reaches {percent(best)} at most, not {percent(highest)}"
    at = replay.forming
    before, after = (percent(replay.scored("induction", i)) for i in (at, at + 1))
    return f"It forms fastest from step {replay.steps[at]:,} to {replay.steps[at + 1]:,}: {before} become {after}"


def marks(replay: Replay) -> dict[int, str]:
    """Words under the dial."""
    first, last = replay.steps[0], replay.steps[-1]
    return {first: f"{first:,}", replay.steps[replay.forming]: "the head forms", last: f"{last:,} steps"}
