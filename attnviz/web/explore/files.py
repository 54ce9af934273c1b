"""The page "Explore": the files that only the server can write, and the model for the view that runs it by itself."""

from __future__ import annotations

from dataclasses import replace

from attnviz.browser import live, report
from attnviz.browser.view_state import ViewState
from attnviz.errors import ModelError
from attnviz.models.model import Model
from attnviz.nn.intervention import Intervention
from attnviz.web import cache, store


def file(kind: str, name: str, text: str, change: Intervention | None, state: ViewState) -> tuple[str, bytes]:
    """Name and bytes of what only the server can write: "npz", the whole trace, "html", the view offline, or "live".

    The last is a page in which the model runs. Errors: ModelError for one that has none, in a sentence.
    """
    loaded_model = cache.model(name)
    if kind == "live":
        return live_page(loaded_model, text, state)
    trace = loaded_model.run(text, intervention=change)
    if kind == "npz":
        return "attnviz.npz", report.npz(trace)
    before = loaded_model.run(text) if trace.intervention else None
    return "attnviz.html", report.html(trace, state=state, before=before).encode()


def live_page(model: Model, text: str, state: ViewState) -> tuple[str, bytes]:
    """Name and bytes of a page in which a model runs. Errors: ModelError for one that has none, in a sentence."""
    if why := live.why_not(model):
        raise ModelError(why)
    if model.info.name.startswith(cache.OWN):  # which nobody else may know, and the page is given to others
        model = replace(model, info=replace(model.info, name=model.info.title))
    held = live.held(model)
    return f"attnviz-live-{held.name}.html", live.html([held], live.Start(text, state)).encode()


@store.kept()
def model_for_view(name: str) -> bytes:
    """A model as the attention view runs it by itself. Errors: ModelError for one that has no live page."""
    return live.model_file(cache.model(name), exact=True)


@store.kept()
def why_no_live_page(name: str) -> str:
    """Why there is no page in which a model runs, in a sentence; "" where there is."""
    return live.why_not(cache.model(name))
