"""Text from a model: begin with `sampling`, token by token; `beam_search` finds the best of several answers at once."""

from attnviz import on_demand

__getattr__, __dir__ = on_demand(__name__, __path__)
