"""Training: begin with `loop`, a generator of frozen steps under a `config`.

`tasks` make the examples, `schedules` the learning rate, `checkpoints` let a training go on after a stop, `snapshots`
keep the weights on the way, `induction_warmup` helps a head form, and `command` is `python -m attnviz train`.
"""

from attnviz import on_demand

__getattr__, __dir__ = on_demand(__name__, __path__)
