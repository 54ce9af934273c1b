"""Explore's view: how a new visitor finds it, the change to the model that it asks for, and the run that it shows."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn.intervention import Intervention
from attnviz.web import cache, shell

KEY = "explore"  # of the view
FIRST_LOOK = ViewState(layer=3, head=1, queries=(10,))  # MiniLM on the first example: "it" finds "animal"


@dataclass(frozen=True, eq=False)
class Shown:
    """What is on screen."""

    view: ViewState
    change: Intervention | None  # to the whole model, if the reader asked for one
    run: cache.Run  # with the change


def run(inputs: shell.Inputs) -> Shown:
    """The run that the view asks for; ends the page with a sentence if this model cannot run this text."""
    try:
        shell.one_text(inputs.model)
        plain = cache.run(inputs.model, inputs.text, None)
        view = shell.view_state(KEY, inputs, FIRST_LOOK).clamp(plain.n_layers, plain.n_heads, plain.n_tokens)
        change = view.to_intervention() if view.whole else None
        if change is None or change.changes_nothing:
            return Shown(view, change, plain)
        return Shown(view, change, cache.run(inputs.model, inputs.text, change))
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(str(error))
