"""The sentences of the page on the variants of attention, written from its numbers."""

from __future__ import annotations

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
PAIRS = ("twice as many", "four times as many", "eight times as many")
CACHES = ("smaller", "about the same", "ten times as large")
OTHER_ATTENTION = (
    "The attention of this model has a bias or a mask of its own, which the variants shown here do not have. Pick "
    "another model in the sidebar."
)
KEPT = "While a model writes, it keeps the key and the value of every token so far, in every layer: its cache."
CACHE_NOTES = (
    "Two bytes a number (float16), one text. Pale: more tokens than the model was released for. Mistral-7B keeps its "
    "window of 4,096 tokens and no more. Sizes from the papers and configurations named in the data."
)
Lines = Mapping[str, Sequence[Step]]  # a variant's steps that were measured, by length


def closest(survey: Survey, layer: int, head: int, labels: Sequence[str]) -> str:
    """Which way to save suits a head best and which least, and what the head lives on."""
    off = {kind: error for kind, error in errors(survey, head).items() if kind not in survey.same}
    best, worst = min(off, key=off.__getitem__), max(off, key=off.__getitem__)
    sentence = (
        f"Five ways to save, on the same q, k and v of layer {layer}, head {head}. "
        f"{NAMES[best].capitalize()} attention comes closest to full attention’s output, error {percent(off[best])}; "
        f"{NAMES[worst]} is farthest from it, error {percent(off[worst])}. Looking evenly at every token: error "
        f"{percent(survey.even[head].item())}."
    )
    taken = survey.by_kind["full"].weights[head].mean(dim=0)  # (T,)
    top = int(taken.argmax())
    rests = f"In full attention most goes to “{labels[top]}”: {percent(taken[top].item())}." if taken[top] > 0.5 else ""
    return " ".join(filter(None, (sentence, identical(survey), rests)))


def identical(survey: Survey) -> str:
    """Which of them are full attention here, and why; "" for none."""
    reasons = {
        "local": "the window holds the whole text",
        "strided": "it leaves out no pair",
        "multi": "the layer has one head",
        "grouped": "there are as many key heads as heads",
    }
    return " ".join(
        f"{NAMES[kind].capitalize()} is full attention here: {reason}."
        for kind, reason in reasons.items()
        if kind in survey.same
    )


def pairs(survey: Survey) -> str:
    """What local and strided attention compute, and how errors are measured."""
    return (
        f"Local computes {percent(survey.pairs['local'])} of the pairs; strided, which also sees every token "
        f"{survey.by_kind['strided'].variant.stride} apart, {percent(survey.pairs['strided'])}. In multi-query, all "
        "heads share one key head. Error: norm of the difference ÷ norm of full attention’s output, over all tokens. "
        "The model was trained for none of them."
    )


def errors(survey: Survey, head: int) -> dict[str, float]:
    """The error of each way to save in one head."""
    return {kind: one.error[head].item() for kind, one in survey.by_kind.items() if kind != "full"}


def note(survey: Survey, kind: str, head: int) -> str:
    """Under the name of a variant's matrix."""
    if kind == "full":
        return "every pair"
    return "full attention here" if kind in survey.same else f"error {percent(errors(survey, head)[kind])}"


def across_heads(survey: Survey, layer: int) -> str:
    """Whether one way to save comes closest in every head of a layer."""
    n_heads = len(survey.even)
    by_head = [errors(survey, head) for head in range(n_heads)]
    winners = {min((kind for kind in off if kind not in survey.same), key=off.__getitem__) for off in by_head}
    if len(winners) == 1:
        return f"{NAMES[winners.pop()].capitalize()} attention comes closest in every head of layer {layer}"
    return f"What suits one head does not suit the next: the {n_heads} heads of layer {layer}"


def dots(head: int) -> str:
    """What the dots of all heads are."""
    return f"A dot is a head: the large ones are head {head}, the pale ones the layer’s other heads."


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
    return " ".join(filter(None, (f"At {n:,} tokens, for one head: {'; '.join(costs)}.", doubled(lines))))


def doubled(lines: Lines) -> str:
    """What twice the tokens did to full attention's time; "" where that was not measured."""
    if len(lines.get("full", ())) < 2:
        return ""
    before, after = lines["full"][-2:]
    if after.n_tokens != 2 * before.n_tokens or not before.seconds or not after.seconds:
        return ""
    return (
        f"From {before.n_tokens:,} to {after.n_tokens:,} tokens, full attention’s time went from "
        f"{duration(before.seconds)} to {duration(after.seconds)}: {after.seconds / before.seconds:.1f} times."
    )


def twice_the_tokens(causal: bool) -> tuple[str, str]:
    """How many more pairs twice the tokens make: the answer among PAIRS, and why."""
    each = "looks at itself and at all before it" if causal else "looks at every token"
    pairs = [n * (n + 1) // 2 if causal else n * n for n in (1000, 2000)]
    return PAIRS[1], (
        f"Twice as many tokens look, and each of them has twice as many to look at: it {each}. So 1,000 tokens make "
        f"{pairs[0]:,} pairs of query and key, and 2,000 tokens {pairs[1]:,}."
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
        f"{threads} CPU thread{'s' if threads > 1 else ''}. Time: the fastest of up to {cost.RUNS[1]:,} runs, for "
        "other programs only ever add time. What stands here first was measured once for all readers; the button "
        f"measures anew. Local sees {cost.WINDOW} tokens to each side, strided about √n. Memory: all tensors alive "
        "at once, counted as torch makes them; what a fused kernel uses inside itself is not seen. Multi- and "
        "grouped-query attention compute as many products as full attention: what they save is the cache, below."
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
    return f"{title}: at {n:,} tokens {what} {percent(thrifty[n] / full[n])} of what full attention takes"


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
        f"At {n_tokens:,} tokens that is {memory_size(shared)} for Llama-2-70B, whose 64 heads share 8 key heads; with "
        f"a key head for each it would be {memory_size(unshared)}."
    )


def larger_model(n_tokens: int) -> tuple[str, str]:
    """The cache of Llama-2-70B against that of Llama-2-7B: the answer among CACHES, and why."""
    sizes, by_name = caches(n_tokens), {model.name: model for model in cost.MODELS}
    large, small = by_name["Llama-2-70B"], by_name["Llama-2-7B"]
    ratio = sizes[large.name][0] / sizes[small.name][0]
    truth = CACHES[0] if ratio < 0.8 else CACHES[1] if ratio < 1.25 else CACHES[2]
    heads = [model.n_layers * model.n_kv_heads for model in (large, small)]
    return truth, (
        f"What counts is layers × key heads. The 7B model has {small.n_layers} × {small.n_kv_heads} = {heads[1]:,}: "
        f"each of its heads has a key head of its own. The 70B model’s {large.n_heads} heads share {large.n_kv_heads}: "
        f"{large.n_layers} × {large.n_kv_heads} = {heads[0]:,}. So it keeps {memory_size(sizes[large.name][0])}, the "
        f"7B model {memory_size(sizes[small.name][0])}."
    )


def cache_sizes(sizes: Mapping[str, tuple[int, int]]) -> str:
    """Every model's cache, as published and unshared, as a text alternative."""
    return ". ".join(
        f"{name}: {memory_size(shared)}, hollow {memory_size(unshared)}" for name, (shared, unshared) in sizes.items()
    )
