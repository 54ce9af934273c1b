"""A painted mask in the view's JavaScript against torch: weights, what is open, and the way of a stroke."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import Intervention, Mask, attend, load
from attnviz.browser.attention_message import pack
from attnviz.browser.bundle import FOLDER
from attnviz.nn.positions import alibi_slopes
from tests.support.node import run_node
from tests.support.traces import attention, softmax, trace_of

PAINT = """
const model = unpack.unpack(message), {cells, mask, under, ...rest} = inputs;
const painted = new Uint8Array(model.T * model.S);
for (const [i, j] of cells) painted[i * model.S + j] = 1;
const own = under ? model.before : null, settings = {...rest, mask: mask || "painted", painted, under: own}, all = [];
model.layers.forEach(({heads}, layer) => {
  for (let head = 0; head < heads; head++) all.push(maths.weights(model, layer, head, settings));
});
"""
OWN = {
    "none": Mask(),
    "causal": Mask(causal=True),
    "padding": Mask(lengths=(5,)),
    "blocked": Mask(blocked=((None, 1, 1), (2, 0, 3))),
    "dense": Mask(dense=torch.rand(1, 3, 7, 7, generator=torch.Generator().manual_seed(5)) > 0.4),
}
RANDOM = [(int(i), int(j)) for i, j in torch.randint(7, (18, 2), generator=torch.Generator().manual_seed(2))]
ROW = [(4, j) for j in range(7)]


def keep_of(own: Mask, cells: list[tuple[int, int]], n: int = 7) -> torch.Tensor:
    """Bool (1, 3, n, n): the model's own mask without the painted cells."""
    keep = own.keep(n, n, 3)
    keep = torch.ones(1, 3, n, n, dtype=torch.bool) if keep is None else keep.expand(1, 3, n, n).clone()
    for i, j in cells:
        keep[:, :, i, j] = False
    return keep


@pytest.mark.parametrize("cells", [[], [(2, 3)], RANDOM, ROW], ids=["nothing", "one", "some", "a row"])
@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
def test_painted_cells_are_blocked_on_top_of_the_models_own_mask(own: Mask, cells: list[tuple[int, int]]) -> None:
    layer = attention(mask=own, temperature=0.7, size=2.0)
    script = f"{PAINT}\ngiveFloats(all.flatMap(one => [...one]));"
    found = run_node(script, pack(trace_of(layer)), {"cells": cells})
    keep = keep_of(own, cells)
    true = attend(layer.q, layer.k, layer.v, keep=keep, temperature=0.7).weights
    apart = softmax(layer.q.double() @ layer.k.double().mT * layer.scale / 0.7, keep)  # written apart from the library
    assert np.abs(found - true.flatten().numpy()).max() <= 1e-5
    assert np.abs(found - apart.flatten().numpy()).max() <= 1e-5
    nothing = found.reshape(3, 7, 7)[~keep[0].any(-1).numpy()]
    assert (nothing == 0).all()  # never NaN, never uniform
    if cells is ROW:
        assert nothing.shape[0] >= 3


def test_what_is_open_is_what_has_weight() -> None:
    layer = attention(mask=Mask(causal=True))
    script = f"""{PAINT}
      const open = maths.opener(model, 0, 1, settings), pairs = [];
      for (let i = 0; i < 7; i++) for (let j = 0; j < 7; j++) pairs.push([open(i, j), all[1][i * 7 + j] > 0]);
      give([pairs, maths.opener(model, 0, 1)(6, 0), maths.explain(model, 0, 1, 4, 2, settings)]);"""
    pairs, own, cell = run_node(script, pack(trace_of(layer)), {"cells": [*ROW, (6, 0)]})
    assert all(is_open == has_weight for is_open, has_weight in pairs)
    assert own and not cell["allowed"] and cell["weight"] == 0


def test_other_masks_do_not_see_the_painting() -> None:
    message = pack(trace_of(attention()))
    script = f"{PAINT}\ngiveFloats(all.flatMap(one => [...one]));"
    for mask in ("model", "causal", "none"):
        painted = run_node(script, message, {"cells": RANDOM, "mask": mask})
        assert np.array_equal(painted, run_node(script, message, {"cells": [], "mask": mask}))


def test_painting_goes_on_over_a_run_with_painted_cells() -> None:
    """Over the message of a run, cells painted since count at once, and cells taken back are open again."""
    plain, run = attention(), attention(mask=Mask(blocked=((None, 1, 1), (None, 4, 2))), seed=3)
    message = pack(trace_of(run), before=trace_of(plain))
    script = f"{PAINT}\ngiveFloats(all.flatMap(one => [...one]));"
    found = run_node(script, message, {"cells": [(1, 1), (0, 5)], "under": True})
    true = attend(run.q, run.k, run.v, keep=keep_of(Mask(), [(1, 1), (0, 5)])).weights
    assert np.abs(found - true.flatten().numpy()).max() <= 1e-5


def test_alibi_stays() -> None:
    layer = attention(alibi=alibi_slopes(3))
    keep = keep_of(Mask(), RANDOM)
    found = run_node(f"{PAINT}\ngiveFloats(all.flatMap(one => [...one]));", pack(trace_of(layer)), {"cells": RANDOM})
    assert np.abs(found - softmax(layer.scores, keep).flatten().numpy()).max() <= 1e-5


def test_the_browser_shows_what_the_model_itself_gives_in_the_first_layer() -> None:
    model = load("minilm")
    text, cells = "The animal was too tired.", [(5, 2), (5, 3), *[(3, j) for j in range(8)]]
    plain, run = model.run(text), model.run(text, intervention=Intervention(blocked=cells))
    found = run_node(f"{PAINT}\ngiveFloats(all.flatMap(one => [...one]));", pack(plain), {"cells": cells})
    n = len(plain.encodings[0])
    found = found.reshape(len(plain.layers), 12, n, n)
    assert np.abs(found[0] - run.layers[0].attention.weights[0].numpy()).max() <= 1e-5
    assert np.abs(found[1] - run.layers[1].attention.weights[0].numpy()).max() > 1e-3  # later layers see other inputs
    assert (found[:, :, 3] == 0).all()


cell = st.tuples(st.integers(0, 20), st.integers(0, 20))


@settings(max_examples=1, deadline=None)
@given(st.lists(st.tuples(cell, cell), min_size=40, max_size=60))
def test_a_stroke_leaves_no_gap(ways: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    painted = (FOLDER / "attention" / "blocked-cells.js").as_uri()
    script = f"""const {{cellsBetween, paintedPairs}} = await import({painted!r});
      const bits = new Uint8Array(12); bits[0] = bits[5] = bits[11] = 1;
      give([inputs.map(([a, b]) => cellsBetween(a, b)), paintedPairs(bits, 4)]);"""
    found, pairs = run_node(script, inputs=ways)
    assert pairs == [[0, 0], [1, 1], [2, 3]]
    for (start, end), between in zip(ways, found, strict=True):
        steps = [list(start), *between]
        assert steps[-1] == list(end)
        assert all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1 for a, b in itertools.pairwise(steps))
