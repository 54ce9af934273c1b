"""The residual stream: stages add up to the trace, agree with NumPy; PCA and gradients are what they say."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call

from attnviz import Intervention, Model, load
from attnviz.analysis import residual
from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.nn import reference
from attnviz.nn.config import ModelConfig, preset
from attnviz.nn.layers import TransformerEncoderLayer
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer
from tests.support.examples import examples

VARIANTS: dict[str, dict[str, Any]] = {
    "post": {},
    "pre": {"norm_first": True, "final_norm": True},
    "relu, no biases": {"activation": "relu", "bias": False},
    "decoder": {"kind": "decoder", "norm_first": True, "activation": "gelu_tanh"},
    "rope": {"positions": "rope"},
    "alibi": {"positions": "alibi", "kind": "decoder"},
}
ALONE: dict[str, dict[str, Any]] = {  # layers of attention only, as the induction model has them
    "attention alone, post": {"d_ff": 0},
    "attention alone, pre": {"d_ff": 0, "kind": "decoder", "norm_first": True, "positions": "alibi"},
}


def ran(name: str, n_tokens: int = 7, seed: int = 0) -> tuple[Transformer, Trace]:
    """A random model of the variant, its norms and biases not at 1 and 0, and its run."""
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(preset("test", n_layers=3, **(VARIANTS | ALONE)[name]), generator).eval().requires_grad_(False)
    for parameter_name, parameter in model.named_parameters():
        scale = 0.3 if "embed" not in parameter_name else 1.0
        parameter += scale * torch.randn(parameter.shape, generator=generator)
    ids = torch.randint(64, (1, n_tokens), generator=generator)
    with torch.inference_mode():
        return model, model(ids)


def same(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    """Equal up to a share of the larger one's size."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and float(np.abs(a - b).max()) <= tolerance * max(float(np.abs(b).max()), 1e-30)


def layer_of(model: Transformer, i: int) -> TransformerEncoderLayer:
    stack: Any = model.encoder if model.encoder is not None else model.decoder
    found: TransformerEncoderLayer = stack["layers"][i]
    return found


# ---- one block -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("i", range(3))
def test_contributions_add_up_to_the_stream_of_the_trace(name: str, i: int) -> None:
    model, trace = ran(name)
    run, found = trace.layers[i], residual.block(model, trace, i)
    assert found.norm_first == model.config.norm_first
    assert same(found.before, run.resid_pre[0])
    assert same(found.middle, run.resid_mid[0])
    assert same(found.after, run.resid_post[0])
    assert same(found.before + found.attention, found.attention_sum)
    assert same(found.middle + found.feed_forward, found.feed_sum)
    if found.norm_first:
        assert same(found.before + found.attention, run.resid_mid[0])
        assert same(found.before + found.attention + found.feed_forward, run.resid_post[0])
    else:
        assert same(layer_of(model, i).norm1(torch.tensor(found.attention_sum).float()), run.resid_mid[0])
        assert same(layer_of(model, i).norm2(torch.tensor(found.feed_sum).float()), run.resid_post[0])


@pytest.mark.parametrize("name", ["post", "pre", "relu, no biases", "decoder"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_both_arrangements_agree_with_numpy(name: str, norm_first: bool) -> None:
    model, trace = ran(name)
    found = residual.block(model, trace, 1, norm_first=norm_first)
    weights = {key: value.numpy() for key, value in layer_of(model, 1).state_dict().items()}
    config = model.config
    keep = reference.causal(7) if config.kind == "decoder" else None
    expected = reference.encoder_layer(
        trace.layers[1].resid_pre[0].numpy(),
        weights,
        config.n_heads,
        norm_first=norm_first,
        activation=config.activation,
        eps=config.norm_eps,
        keep=keep,
    )
    assert same(found.after, expected)
    hidden = reference.ACTIVATIONS[config.activation](found.hidden_in)
    assert same(found.hidden, hidden)


@pytest.mark.parametrize("name", VARIANTS)
def test_norms_moved_are_the_layer_with_its_switch_turned(name: str) -> None:
    model, trace = ran(name)
    other = not model.config.norm_first
    turned, _ = ran(name)
    layer = layer_of(turned, 2)
    layer.norm_first = other
    attention = trace.layers[2].attention
    rotary = model.config.positions == "rope"
    with torch.inference_mode():
        run = layer.trace(trace.layers[2].resid_pre, mask=attention.mask, alibi=attention.alibi, rotary=rotary)
    found = residual.block(model, trace, 2, norm_first=other)
    assert same(found.middle, run.resid_mid[0])
    assert same(found.after, run.resid_post[0])
    assert not same(found.after, residual.block(model, trace, 2).after, 1e-2)


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_layer_of_attention_only_has_no_feed_forward_network(name: str, norm_first: bool) -> None:
    model, trace = ran(name)
    config, run, found = model.config, trace.layers[1], residual.block(model, trace, 1, norm_first=norm_first)
    for stage in ("feed_in", "hidden_in", "hidden", "feed_forward", "feed_sum"):
        assert getattr(found, stage) is None
    assert found.after is not None and same(found.after, found.middle)
    if norm_first == config.norm_first:
        assert same(found.after, run.resid_post[0])
    layer = layer_of(model, 1)
    with torch.inference_mode():
        summed = torch.tensor(found.attention_sum).float()
        assert same(found.after, summed if norm_first else layer.norm1(summed))
    assert list(found.lengths(3)) == ["before", "attention_in", "attention", "attention_sum", "middle", "after"]
    shares = residual.branches(model, trace)
    assert shares.feed_forward is None and shares.feed_forward_share is None
    assert same(shares.attention_share[1], np.linalg.norm(run.attention.out[0], axis=1) / shares.before_attention[1])
    first = residual.normed(model, trace, 1, 4)
    assert same(first.before, (run.resid_pre if config.norm_first else run.resid_pre + run.attention.out)[0, 4])
    with pytest.raises(InvalidParameterError, match="no second LayerNorm"):
        residual.normed(model, trace, 1, 4, second=True)


def test_lengths_are_the_norms_of_the_rows() -> None:
    model, trace = ran("post")
    found = residual.block(model, trace, 0)
    lengths = found.lengths(3)
    assert list(lengths) == [
        "before",
        "attention_in",
        "attention",
        "attention_sum",
        "middle",
        "feed_in",
        "feed_forward",
        "feed_sum",
        "after",
    ]
    for name, length in lengths.items():
        assert length == pytest.approx(float(np.sqrt((getattr(found, name)[3] ** 2).sum())))


def test_padding_is_left_out() -> None:
    model: Model = load("scratch:test")
    trace = model.run(["one two three four", "one"])
    short = replace(trace, lengths=(trace.lengths[0] - 1, *trace.lengths[1:]))
    assert residual.block(model.transformer, short, 0).after.shape[0] == trace.lengths[0] - 1
    assert residual.stream(short).shape[1] == trace.lengths[0] - 1


def test_what_cannot_be_shown_says_so() -> None:
    model, trace = ran("post")
    for layer in (3, -1):
        with pytest.raises(InvalidParameterError, match=f"layer {layer} of 3"):
            residual.block(model, trace, layer)
    changed = replace(trace, intervention=Intervention(temperature=2.0))
    residual.block(model, changed, 0)
    with pytest.raises(InvalidParameterError, match="intervention"):
        residual.block(model, changed, 0, norm_first=True)
    both = Transformer(ModelConfig(kind="encoder-decoder", d_model=16, n_heads=2, d_ff=32, vocab_size=64)).eval()
    with torch.inference_mode():
        run = both(torch.tensor([[1, 2]]), torch.tensor([[3]]))
    with pytest.raises(InvalidParameterError, match="encoder-decoder"):
        residual.block(both, run, 0)


# ---- LayerNorm and activations -------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("second", [False, True])
def test_layer_norm_is_torchs_and_numpys(name: str, second: bool) -> None:
    model, trace = ran(name)
    step = residual.normed(model, trace, 1, 4, second=second)
    eps = model.config.norm_eps
    assert same(step.standard, reference.layer_norm(step.before, eps=eps))
    assert same(step.after, reference.layer_norm(step.before, step.gain, step.shift, eps))
    assert same(step.after, step.standard * step.gain + step.shift)
    assert step.standard.mean() == pytest.approx(0, abs=1e-6)
    assert step.standard.std() == pytest.approx(1, rel=1e-3)
    run, stages = trace.layers[1], residual.block(model, trace, 1)
    if model.config.norm_first:
        assert same(step.before, (run.resid_mid if second else run.resid_pre)[0, 4])
        assert same(step.after, (stages.feed_in if second else stages.attention_in)[4])
    else:
        assert same(step.after, (run.resid_post if second else run.resid_mid)[0, 4])


def test_activation_curves_are_numpys() -> None:
    curves = residual.activations(-6.0, 2.0)
    for name, function in (("ReLU", reference.relu), ("GELU", reference.gelu)):
        x, y = curves[name]
        assert (x[0], x[-1]) == (-6.0, 3.0) and 0.0 in x
        np.testing.assert_allclose(y, function(x), atol=1e-12)
    assert -0.17 < curves["GELU"][1].min() < -0.169  # "never below −0.17" on the page


# ---- all layers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["post", "pre"])
def test_branches_are_the_blocks_lengths(name: str) -> None:
    model, trace = ran(name)
    found = residual.branches(model, trace)
    for i in range(3):
        for token in range(7):
            lengths = residual.block(model, trace, i).lengths(token)
            assert found.attention_share[i, token] == pytest.approx(lengths["attention"] / lengths["before"])
            assert found.feed_forward_share[i, token] == pytest.approx(lengths["feed_forward"] / lengths["middle"])


def test_a_stream_of_zeros_has_shares_of_zero() -> None:
    zeros, ones = np.zeros((2, 3)), np.ones((2, 3))
    found = residual.Branches(ones, ones, zeros, ones)
    assert (found.attention_share == 0).all() and (found.feed_forward_share == 1).all()


def test_the_stream_starts_before_and_ends_after_the_layers() -> None:
    _, trace = ran("pre")
    states = residual.stream(trace)
    assert states.shape == (4, 7, 16)
    assert same(states[0], trace.layers[0].resid_pre[0])
    assert same(states[-1], trace.layers[-1].resid_post[0])  # without the final norm


def cloud(seed: int, layers: int, tokens: int, width: int) -> residual.Array:
    random = np.random.default_rng(seed)
    return random.normal(size=(layers, tokens, width)) * random.gamma(1.0, size=width) + random.normal(size=width)


sizes = st.tuples(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 9), st.integers(2, 12))


@given(sizes)
@settings(max_examples=examples(60), deadline=None)
def test_principal_components_are_those_of_a_singular_value_decomposition(size: tuple[int, int, int, int]) -> None:
    states = cloud(*size)
    found = residual.drift(states)
    rows = states.reshape(-1, states.shape[-1])
    _, sigma, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    variances = np.zeros(2)
    variances[: len(sigma[:2])] = sigma[:2] ** 2
    total = (sigma**2).sum()
    np.testing.assert_allclose(found.shares * total, variances, atol=1e-9 * max(total, 1e-9))
    assert found.shares[0] >= found.shares[1] >= 0 and found.shares.sum() <= 1 + 1e-9
    for i in range(2):
        if variances[i] > 1e-9 * total > 0 and (i == 1 or variances[0] > 1.01 * variances[1]):
            if i == 1 and len(sigma) > 2 and variances[1] < 1.01 * sigma[2] ** 2:
                continue  # two directions of one size: any turn between them is right
            assert abs(found.directions[i] @ axes[i]) == pytest.approx(1, abs=1e-6)
            assert found.directions[i][np.abs(found.directions[i]).argmax()] > 0


@given(sizes)
@settings(max_examples=40, deadline=None)
def test_turning_and_shifting_all_states_leaves_the_picture(size: tuple[int, int, int, int]) -> None:
    states = cloud(*size)
    random = np.random.default_rng(size[0] + 1)
    width = states.shape[-1]
    turn, _ = np.linalg.qr(random.normal(size=(width, width)))
    a, b = residual.drift(states), residual.drift(states @ turn + random.normal(size=width))
    np.testing.assert_allclose(a.shares, b.shares, atol=1e-9)
    if a.shares[0] > 1.05 * a.shares[1]:  # else the first two directions may mix
        scale = np.abs(a.points).max()
        np.testing.assert_allclose(np.abs(a.points[..., 0]), np.abs(b.points[..., 0]), atol=1e-6 * max(scale, 1e-9))


def test_all_directions_together_are_the_states() -> None:
    states = cloud(3, 3, 8, 5)
    found = residual.drift(states, k=5)
    np.testing.assert_allclose(found.points @ found.directions + found.mean, states, atol=1e-10)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(5), atol=1e-10)
    assert found.shares.sum() == pytest.approx(1) and (np.diff(found.shares) <= 0).all()


def test_states_that_do_not_differ_stay_at_the_origin() -> None:
    found = residual.drift(np.ones((3, 4, 6)))
    assert not found.points.any() and not found.shares.any() and not found.directions.any()
    line = np.arange(4.0)[:, None, None] * np.ones((1, 1, 6))
    assert residual.drift(line).shares == pytest.approx([1, 0], abs=1e-12)


@pytest.mark.parametrize("shape", [(3, 4), (0, 2, 2), (2, 0, 2)])
def test_states_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="L \\+ 1"):
        residual.drift(np.zeros(shape))


# ---- depth ---------------------------------------------------------------------------------------


def small(norm_first: bool) -> residual.Untrained:
    return residual.untrained(3, norm_first, 5, d_model=8, n_heads=2, n_tokens=5, n_classes=11, dtype=torch.float64)


@pytest.mark.parametrize("norm_first", [False, True])
def test_gradients_are_those_of_torch_func(norm_first: bool) -> None:
    stack = small(norm_first)
    found = residual.depth_sizes(stack)
    parameters = dict(stack.encoder.named_parameters())

    def loss(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return stack.loss(functional_call(stack.encoder, weights, (stack.x,)))

    gradients = torch.func.grad(loss)({name: value.detach() for name, value in parameters.items()})
    for i in range(3):
        own = [g for name, g in gradients.items() if name.startswith(f"layers.{i}.")]
        assert found.gradients[i] == pytest.approx(float(torch.cat([g.flatten() for g in own]).norm()), rel=1e-9)
    assert found.loss == pytest.approx(float(stack.loss(stack.encoder(stack.x)).detach()), rel=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("i", range(3))
def test_gradients_are_slopes(norm_first: bool, i: int) -> None:
    """Along its own gradient, the loss rises by the gradient's length: a finite difference says the same."""
    stack = small(norm_first)
    found = residual.depth_sizes(stack)
    layer = stack.encoder.layers[i]
    own = list(layer.parameters())
    with torch.enable_grad():
        slopes = torch.autograd.grad(stack.loss(stack.encoder(stack.x)), own)
    step = 1e-5
    losses = []
    for sign in (1, -1):
        moved = small(norm_first)
        with torch.no_grad():
            for parameter, slope in zip(moved.encoder.layers[i].parameters(), slopes, strict=True):
                parameter += sign * step * slope / found.gradients[i]
            losses.append(float(moved.loss(moved.encoder(moved.x))))
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(found.gradients[i], rel=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_streams_gradient_is_a_slope_too(norm_first: bool) -> None:
    stack = small(norm_first)
    found = residual.depth_sizes(stack)
    slope = np.zeros(stack.x.shape)
    step = 1e-5
    with torch.no_grad():
        for index in np.ndindex(*stack.x.shape):
            pair = []
            for sign in (1, -1):
                x = stack.x.clone()
                x[index] += sign * step
                pair.append(float(stack.loss(stack.encoder(x))))
            slope[index] = (pair[0] - pair[1]) / (2 * step)
    assert np.linalg.norm(slope) == pytest.approx(found.stream_gradients[0], rel=1e-5)
    assert found.stream_gradients.shape == (4,) and found.stream.shape == (4,)


@pytest.mark.parametrize("seed", range(5))
def test_post_norm_gradients_grow_towards_the_output_and_pre_norms_do_not(seed: int) -> None:
    """Xiong et al. 2020, figure 3 and theorem 1: in the last layer, post-norm's is larger, the more so the deeper."""
    ratios = []
    for depth in (1, 4, 12):
        post, pre = (residual.depth_sizes(residual.untrained(depth, first, seed)) for first in (False, True))
        ratios.append(post.gradients[-1] / pre.gradients[-1])
    assert ratios[0] < 1.2 < ratios[1] < ratios[2] and ratios[2] > 2
    assert post.gradients[-1] > post.gradients[0] and pre.gradients[-1] < pre.gradients[0]
    np.testing.assert_allclose(post.stream[1:], 8.0, rtol=1e-3)  # √64: LayerNorm sets every token's length
    assert pre.stream[-1] > 2 * pre.stream[0]


def test_one_seed_is_one_stack_in_both_arrangements() -> None:
    state = torch.random.get_rng_state()
    post, pre, again, other = (
        residual.untrained(2, *options) for options in ((False, 0), (True, 0), (False, 0), (False, 1))
    )
    assert torch.equal(torch.random.get_rng_state(), state)  # the global generator belongs to others
    weights = dict(pre.encoder.named_parameters())
    for name, parameter in post.encoder.named_parameters():
        assert torch.equal(parameter, weights[name])
        assert torch.equal(parameter, dict(again.encoder.named_parameters())[name])
    assert torch.equal(post.x, pre.x) and torch.equal(post.readout, pre.readout)
    assert torch.equal(post.targets, pre.targets) and not torch.equal(post.x, other.x)
    assert pre.encoder.norm is not None and post.encoder.norm is None
    deviation = float(post.encoder.layers[0].linear1.weight.detach().std())
    assert deviation == pytest.approx((2 / (64 + 256)) ** 0.5, rel=0.05)


def test_gradients_are_found_inside_inference_mode_too() -> None:
    with torch.inference_mode():
        inside = residual.depth_sizes(residual.untrained(2, True, 0))
    outside = residual.depth_sizes(residual.untrained(2, True, 0))
    np.testing.assert_allclose(inside.gradients, outside.gradients)


@pytest.mark.parametrize("depth", [0, -1, 1.5])
def test_a_depth_that_is_none_is_refused(depth: Any) -> None:
    with pytest.raises(InvalidParameterError, match="depth"):
        residual.untrained(depth, True, 0)
