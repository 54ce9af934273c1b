"""The runs that the page "Masks" shows of a new text, in one pass of the model instead of five."""

from __future__ import annotations

import time

from attnviz.analysis import causality
from attnviz.models.one_pass import Run, can_run, in_one_pass
from attnviz.nn.intervention import Intervention
from attnviz.web import cache, shell, store
from attnviz.web.lesson import Lesson
from attnviz.web.masks import patterns, state


def prepare(lesson: Lesson[state.Settings], inputs: shell.Inputs) -> None:
    """Makes those that are not there yet; to be called before the page's parts, which ask for one after the other."""
    settings, exchange = lesson.settings(), state.exchange(lesson, inputs)
    _prepared(inputs.model, inputs.text, settings.mask, settings.n, exchange.position, exchange.new_id, settings.row)


@store.kept()
def _prepared(name: str, text: str, mask: str, n: int, position: int, new_id: int, row: int) -> bool:
    """Whether it was done in one pass; kept, so that who comes meanwhile with the same text waits for it."""
    model = cache.model(name)
    encoding = model.encode(text)
    if not can_run(model) or not len(encoding):
        return False
    is_causal = model.transformer.config.kind == "decoder"
    closed = None if is_causal else Intervention(mask="causal")
    changes = {None, closed, Intervention(mask="none") if is_causal else closed}
    if mask in ("none", "causal", "window"):  # the others block cells: they are kept by another name, and run alone
        changes.add(patterns.intervention(mask, n, "", n_tokens=len(encoding), causal=is_causal))
    changes = {change for change in changes if cache.trace.known(name, text, change) is None}
    runs = [Run(encoding, encoding.ids, change) for change in changes]
    ids = list(encoding.ids)
    if exchanges := state.exchanged.known(name, text, position, new_id, "causal") is None:
        ids[position] = new_id
        runs.append(Run(encoding, tuple(ids), closed))
    one = model.encode((text, *state.OTHER_TEXTS)[row])
    missing = len(encoding) - len(one)
    longest = all(len(model.encode(other)) <= len(encoding) for other in state.OTHER_TEXTS)
    if pads := missing > 0 and longest and state.padded.known(name, text, row) is None:
        filled = (*one.ids, *[model.tokenizer.pad_id] * missing)
        runs += [Run(one, filled), Run(one, filled, real=len(one))]
    if len(runs) < 2:
        return False
    began = time.thread_time()
    traces = in_one_pass(model, runs)
    seconds = (time.thread_time() - began) / len(runs)
    for change, trace in zip(changes, traces, strict=False):
        cache.trace.put(trace, seconds, name, text, change)
    rest = traces[len(changes) :]
    if exchanges:
        before, after = cache.trace(name, text, closed), rest.pop(0)
        found = causality.exchange_token(model, text, position, new_id, closed, before=before, after=after)
        state.exchanged.put(found, seconds, name, text, position, new_id, "causal")
    if pads:
        state.padded.put(state.read_padded(name, text, row, *rest), 2 * seconds, name, text, row)
    return True
