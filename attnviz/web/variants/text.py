"""The sentences of the page on the variants of attention, written from its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attnviz.analysis import cost
from attnviz.analysis.cost import Step
from attnviz.analysis.variants import Survey
from attnviz.formatting import duration, memory_size, percent

NAMES = {
    "full": "full",
    "fused": "full, fused",
    "local": "local",
    "strided": "strided",
    "linear": "linear",
    "multi": "multi-query",
    "grouped": "grouped-query",
}
TIMES = {"twice as long": 2, "four times as long": 4, "eight times as long": 8}
CACHES = {"smaller": 0.5, "about the same": 1, "ten times as large": 10}
Lines = Mapping[str, Sequence[Step]]  # a variant's steps that were measured, by length


def closest(survey: Survey, layer: int, head: int, labels: Sequence[str]) -> str:
    """Which way to save suits a head best and which least, and what the head lives on."""
    off = errors(survey, head)
    best, worst = min(off, key=off.__getitem__), max(off, key=off.__getitem__)
    sentence = (
        f"Five ways to save, on the same q, k and v of layer {layer}, head {head}. {NAMES[best].capitalize()} "
        f"attention comes closest to the full output, {percent(off[best])} off; {NAMES[worst]} is "
        f"{percent(off[worst])} off. Looking evenly at every token would be {percent(survey.even[head].item())} off."
    )
    taken = survey.by_kind["full"].weights[head].mean(dim=0)  # (T,)
    top = int(taken.argmax())
    if taken[top] < 0.5 or len(labels) < 3:
        return sentence
    return f"{sentence} Full attention here rests on “{labels[top]}”, which takes {percent(taken[top].item())} of it."


def pairs(survey: Survey) -> str:
    """What local and strided attention compute, and how errors are measured."""
    return (
        f"Local computes {percent(survey.pairs['local'])} of the pairs; strided, which also sees every token "
        f"{survey.by_kind['strided'].variant.stride} apart, {percent(survey.pairs['strided'])}. Multi-query has one "
        "head of keys. Off: length of the difference ÷ length of full attention’s output, over all tokens. "
        "The model was trained for none of them."
    )


def errors(survey: Survey, head: int) -> dict[str, float]:
    """The error of each way to save in one head."""
    return {kind: one.error[head].item() for kind, one in survey.by_kind.items() if kind != "full"}


def across_heads(survey: Survey, layer: int) -> str:
    """Whether one way to save suits every head of a layer."""
    n_heads = len(survey.even)
    winners = {min(off, key=off.__getitem__) for off in (errors(survey, head) for head in range(n_heads))}
    if len(winners) == 1:
        return f"{NAMES[winners.pop()].capitalize()} attention comes closest in every head of layer {layer}"
    return f"What suits one head does not suit the next: the {n_heads} heads of layer {layer}"


def largest_errors(off: Mapping[str, Sequence[float]]) -> str:
    """The largest error of each variant, by name, as a text alternative."""
    largest = ", ".join(f"{name} {percent(max(errors))}" for name, errors in off.items())
    return f"Largest error of any head: {largest}."


def measured_lines(steps: Sequence[Step]) -> dict[str, list[Step]]:
    """The steps that were measured, by variant; what was left out is not among them."""
    done = [step for step in steps if step.seconds is not None]
    lines = {kind: [step for step in done if step.kind == kind] for kind in cost.MEASURED}
    return {kind: line for kind, line in lines.items() if line}


def longest(lines: Lines) -> str:
    """Time and memory of each variant at the longest text that full attention was measured on."""
    if "full" not in lines:
        return "Measuring: the shortest texts come first."
    n = lines["full"][-1].n_tokens
    at = {kind: step for kind, line in lines.items() for step in line if step.n_tokens == n}
    costs = (
        f"{NAMES[kind]} {duration(step.seconds or 0)} and {memory_size(step.peak_bytes or 0)}"
        for kind, step in at.items()
    )
    return f"At {n:,} tokens, for one head: {'; '.join(costs)}."


def doubled(lines: Lines) -> tuple[str, str] | None:
    """What twice the tokens did to full attention's time: the nearest answer, and the numbers. None if not measured."""
    if len(lines.get("full", ())) < 2:
        return None
    before, after = lines["full"][-2:]
    if after.n_tokens != 2 * before.n_tokens or not before.seconds or not after.seconds:
        return None
    ratio = after.seconds / before.seconds
    answer = min(TIMES, key=lambda one: abs(math.log(ratio / TIMES[one])))
    return answer, (
        f"From {before.n_tokens:,} to {after.n_tokens:,} tokens it went from {duration(before.seconds)} to "
        f"{duration(after.seconds)}, {ratio:.1f} times as long; the number of pairs grew 4 times."
    )


def progress(step: Step | None) -> str:
    """What was measured last."""
    return f"{NAMES[step.kind]}, {step.n_tokens:,} tokens" if step else "Starting …"


def left_out(steps: Sequence[Step]) -> str:
    """What was not measured; "" if everything was."""
    skipped = [f"{NAMES[step.kind]} at {step.n_tokens:,} tokens" for step in steps if step.seconds is None]
    return f"Left out, as it would have taken too long: {', '.join(skipped)}." if skipped else ""


def conditions(head_dim: int, causal: bool, threads: int) -> str:
    """How time and memory are measured."""
    return (
        f"One {'causal ' if causal else ''}head of {head_dim} numbers, random q, k, v (seed 0), float32, torch on "
        f"{threads} CPU thread{'s' if threads > 1 else ''}; median of up to {cost.RUNS[1]:,} runs. "
        f"Local sees {cost.WINDOW} tokens to each side, strided about √n. Memory: all tensors alive at once, "
        "counted as torch makes them; what a fused kernel uses inside itself is not seen. Multi- and grouped-query "
        "attention do full attention’s products: what they save is the cache, below."
    )


def amounts(line: Sequence[Step], unit: str) -> dict[int, float]:
    """Seconds or bytes, by length."""
    return {step.n_tokens: float((step.seconds if unit == "seconds" else step.peak_bytes) or 0) for step in line}


def share(lines: Lines, unit: str) -> str:
    """A title: what the thriftiest takes of full attention's time or memory, at the longest text of both."""
    title, kind, what = (
        ("Time", "linear", "linear attention takes")
        if unit == "seconds"
        else ("Memory", "fused", "the fused kernel holds")
    )
    full, thrifty = amounts(lines.get("full", ()), unit), amounts(lines.get(kind, ()), unit)
    both = set(full) & set(thrifty)
    if not both:
        return title
    n = max(both)
    return f"{title}: at {n:,} tokens {what} {percent(thrifty[n] / full[n])} of full’s"


def caches(n_tokens: int) -> dict[str, tuple[int, int]]:
    """Bytes of each known model's cache, as published and if no heads shared keys."""
    return {
        model.name: (cost.cache_bytes(model, n_tokens), cost.cache_bytes(model, n_tokens, n_kv_heads=model.n_heads))
        for model in cost.MODELS
    }


def key_value_cache(n_tokens: int) -> str:
    """What one large model keeps, and would keep."""
    shared, unshared = caches(n_tokens)["Llama-2-70B"]
    return (
        f"While a model writes, it keeps a key and a value for every token so far. At {n_tokens:,} tokens that is "
        f"{memory_size(shared)} for Llama-2-70B, whose 64 heads share 8 heads of keys; with one for each it would be "
        f"{memory_size(unshared)}."
    )


def larger_model(n_tokens: int) -> tuple[str, str]:
    """The cache of Llama-2-70B against that of Llama-2-7B: the nearest answer, and the numbers."""
    sizes = caches(n_tokens)
    (large, _), (small, _) = sizes["Llama-2-70B"], sizes["Llama-2-7B"]
    answer = min(CACHES, key=lambda one: abs(math.log(large / small / CACHES[one])))
    return answer, (
        f"{memory_size(large)} against {memory_size(small)}, {percent(large / small)} of it: the 7B model’s "
        "32 heads share no keys."
    )


def cache_sizes(sizes: Mapping[str, tuple[int, int]]) -> str:
    """Every model's cache, as published and unshared, as a text alternative."""
    return ". ".join(
        f"{name}: {memory_size(shared)}, hollow {memory_size(unshared)}" for name, (shared, unshared) in sizes.items()
    )
