"""What a removed head or cell costs: what comes back after it, and what softmax hides."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from attnviz import Intervention, Model, Transformer, load
from attnviz.analysis import cell_removal, patching, self_repair
from attnviz.analysis.outcomes import Lead
from attnviz.analysis.sites import Site
from attnviz.nn.config import preset
from tests.unit.analysis.test_attribution import ran
from tests.unit.analysis.test_patching import CIRCUIT, before_out, linear


@pytest.fixture(scope="module")
def induction() -> Model:
    return load("induction")


def test_where_nothing_comes_after_a_head_nothing_is_repaired() -> None:
    model, trace, _ = linear()
    named = replace(trace, encodings=ran("decoder")[1].encodings)
    named = replace(named, encodings=(replace(named.encodings[0], ids=(0,) * 6),))
    found = self_repair.of_heads(model, named, Lead(5, 9))
    torch.testing.assert_close(found.total, found.direct, rtol=1e-3, atol=1e-4)
    assert float(found.repaired.nan_to_num().abs().max()) < 1e-2


def test_repair_by_hand() -> None:
    found = self_repair.Repair(
        torch.tensor([[4.0, -2.0], [0.01, 1.0]], dtype=torch.float64),
        torch.tensor([[1.0, -3.0], [5.0, 1.5]], dtype=torch.float64),
    )
    assert found.repaired[0].tolist() == [0.75, -0.5] and math.isnan(found.repaired[1, 0])
    assert found.most == (0, 0)
    assert self_repair.Repair(torch.ones(1, 1), torch.ones(1, 1)).most is None


def test_a_repaired_head_is_found(induction: Model) -> None:
    """The norm after the last layer alone makes up for a part of the induction head."""
    trace = induction.run(CIRCUIT)
    found = self_repair.of_heads(induction.transformer, trace, Lead(induction.encode(" salt").ids[1]))
    assert float(found.direct[1, 3]) == pytest.approx(7.1, abs=0.1)
    assert float(found.total[1, 3]) == pytest.approx(6.3, abs=0.1)
    assert 0.1 < float(found.repaired[1, 3]) < 0.15


def test_a_cell_blocked_and_cut_by_hand() -> None:
    model, trace, _ = linear()
    outcome, site = Lead(5, 9), Site("decoder", 0)
    found = cell_removal.of_head(model, trace, outcome, site, 1, most=3)
    record = trace.layers[0].attention
    assert model.head is not None
    direction = before_out(model)[:, 8:].T @ (model.head["out"].weight[5] - model.head["out"].weight[9])
    for one in found:
        assert one.query == 5  # in the only layer no other token's query reaches the last logits
        row, values = record.weights[0, 1, 5], record.v[0, 1]
        assert one.weight == pytest.approx(float(row[one.key]))
        assert one.cut == pytest.approx(float(-row[one.key] * values[one.key] @ direction), rel=1e-3, abs=1e-4)
        rest = row.clone()
        rest[one.key] = 0
        change = (rest / rest.sum() - row) @ values @ direction
        assert one.blocked == pytest.approx(float(change), rel=1e-3, abs=1e-4)
        assert one.heir == int(rest.argmax())
    blocked = Intervention(blocked=[(0, 1, 5, found[0].key)])
    with torch.inference_mode():
        again = model(torch.randint(64, (2, 6), generator=_drawn())[:1], intervention=blocked)
    change = patching.base(model, again, outcome) - patching.base(model, trace, outcome)
    assert change == pytest.approx(found[0].blocked, rel=1e-3, abs=1e-4)


def _drawn() -> torch.Generator:
    """The state from which `linear` drew its texts."""
    generator = torch.Generator().manual_seed(3)
    config = preset("test", n_layers=1, kind="decoder", d_ff=0, norms=False, norm_first=True, head="lm")
    for parameter in Transformer(config, generator).parameters():
        torch.randn(parameter.shape, generator=generator)
    return generator


def test_where_two_keys_say_the_same_blocking_one_shows_nothing() -> None:
    model, trace, _ = linear(positions="none")
    with torch.inference_mode():
        trace = model(torch.tensor([[7, 7, 3]]))
    outcome = Lead(5, 9, position=1)  # it sees the same token twice, itself too
    (first, *_) = cell_removal.of_head(model, trace, outcome, Site("decoder", 0), 0)
    assert first.weight == pytest.approx(0.5) and first.blocked == pytest.approx(0, abs=1e-5)
    assert abs(first.cut) > 0.01 and first.underestimates and first.gain == pytest.approx(0.5)
