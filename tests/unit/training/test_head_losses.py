"""What heads are worth: the held-out loss with one switched off is that of a model in which it writes nothing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attnviz.training.head_losses import EXAMPLES, HeadLosses, first, head_losses
from attnviz.training.loop import Training, preset
from attnviz.training.tasks import IGNORED

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 16, "batch": 4, "steps": 3, "eval_every": 3, "warmup": 1}


@pytest.mark.parametrize(("task", "length"), [("copy", 12), ("induction", 16), ("digits", 16), ("dates", 40)])
def test_a_head_switched_off_is_one_that_writes_nothing(task: str, length: int) -> None:
    training = Training(preset(task, "small", **TINY, length=length))
    list(training.steps())
    found = head_losses(training.model, training.task)
    batch = first(next(iter(training.task.held_out("val"))), EXAMPLES)
    asked = batch.labels != IGNORED

    def loss(model: torch.nn.Module) -> float:
        with torch.inference_mode():
            logits = batch.run(model.eval()).logits  # type: ignore[arg-type]
            return float(F.cross_entropy(logits[asked], batch.labels[asked]))

    assert found.whole == pytest.approx(loss(training.model), abs=1e-5)
    for layer in range(2):
        for head in range(2):
            without = copy.deepcopy(training.model)
            names = dict(without.named_parameters())
            kind = "multihead_attn" if task == "dates" else "self_attn"
            (weight,) = (p for name, p in names.items() if f"layers.{layer}.{kind}.out_proj.weight" in name)
            with torch.no_grad():
                weight[:, head * 8 : (head + 1) * 8] = 0
            assert found.without[layer, head] == pytest.approx(loss(without), abs=1e-5), (layer, head)


def test_the_head_that_is_missed_most() -> None:
    assert HeadLosses(1.0, np.array([[0.9, 1.5], [2.0, 1.0]])).most == (1, 0)
    assert HeadLosses(1.0, np.array([[0.9, 1.0]])).most is None


def test_the_first_examples_of_a_batch() -> None:
    for task in ("copy", "dates", "digits"):
        training = Training(preset(task, "small", **TINY, length=40))
        batch = next(iter(training.task.held_out("val")))
        few = first(batch, 3)
        assert torch.equal(few.ids, batch.ids[:3]) and torch.equal(few.labels, batch.labels[:3])
        assert batch.lengths is None or few.lengths == batch.lengths[:3]
