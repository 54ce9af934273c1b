"""Where a number comes from: the `terms` whose sum or product it is, `steps` that lay them out for one layer of a run,
and a `worked_example` small enough for a calculator."""

from attnviz import on_demand

__getattr__, __dir__ = on_demand(__name__, __path__)
