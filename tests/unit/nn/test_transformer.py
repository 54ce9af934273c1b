"""The whole transformer against a second, plain implementation, and its promises one by one."""

from __future__ import annotations

import copy
import json
import math
import threading
from dataclasses import FrozenInstanceError, asdict
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from attnviz import DTypeError, Intervention, InvalidParameterError, ModelConfig, ShapeError, Trace, Transformer, preset
from attnviz.nn import positions
from attnviz.nn.config import PRESETS
from tests.support.examples import examples
from tests.support.parity import close, scramble

SMALL = {"vocab_size": 13, "max_len": 8, "d_model": 8, "n_heads": 2, "n_layers": 2, "d_ff": 6}
F64 = torch.float64


def small(seed: int = 0, **changes) -> Transformer:
    """A model of a few hundred random numbers, in float64."""
    torch.manual_seed(seed)
    model = Transformer(ModelConfig(**(SMALL | changes))).double().eval().requires_grad_(False)
    scramble(model, 0.4)
    return model


def ids_of(*shape: int, seed: int = 1) -> Tensor:
    return torch.randint(0, 13, shape, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------ a second implementation, one text at a time


def plain_norm(state: dict, name: str, x: Tensor, eps: float) -> Tensor:
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt()
    bias = state.get(f"{name}.bias")
    return x * state[f"{name}.weight"] + (0.0 if bias is None else bias)


def plain_linear(state: dict, name: str, x: Tensor) -> Tensor:
    bias = state.get(f"{name}.bias")
    return x @ state[f"{name}.weight"].T + (0.0 if bias is None else bias)


ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}


def acts(change: Intervention | None, layer: int, place: str) -> bool:
    return change is not None and change.where in ("all", place) and (change.layers is None or layer in change.layers)


def plain_attention(state, name, config, x, memory, causal, change, layer, place):
    """(weights (H, T, S), output (T, C)) of one text without padding."""
    heads, width = config.n_heads, config.d_model // config.n_heads
    on = acts(change, layer, place)
    stacked, bias = state[f"{name}.in_proj_weight"].chunk(3), state.get(f"{name}.in_proj_bias")
    biases = (0.0, 0.0, 0.0) if bias is None else bias.chunk(3)
    q, k, v = (
        (y @ w.T + b).view(-1, heads, width).transpose(0, 1)
        for y, w, b in zip((x, memory, memory), stacked, biases, strict=True)
    )
    scheme = config.positions
    if on and change.positions is not None:
        scheme = change.positions
    (_, t, _), s = q.shape, k.shape[1]
    if scheme == "rope" and place != "cross":
        q, k = positions.rope(q), positions.rope(k)
    scores = q @ k.mT / (1.0 if on and not change.scaled else math.sqrt(width))
    if scheme == "alibi" and place != "cross":
        scores = scores + positions.alibi_bias(positions.alibi_slopes(heads, x), t, s)
    keep = torch.ones(heads, t, s, dtype=torch.bool)
    pattern = change.mask if on and place != "cross" else None
    for i in range(t):
        for j in range(s):
            if (pattern == "causal" or (causal and pattern != "none")) and j > i:
                keep[:, i, j] = False
            if isinstance(pattern, tuple) and abs(i - j) > pattern[1]:
                keep[:, i, j] = False
    for at, head, i, j in change.blocked if on else ():
        if at in (None, layer) and i < t and j < s:  # else it lies in the padding that this run has not
            keep[slice(None) if head is None else head, i, j] = False
    scores = (scores / (change.temperature if on else 1.0)).masked_fill(~keep, -math.inf)
    weights = scores.softmax(-1).nan_to_num(0.0)  # a row without keys
    z = weights @ v
    for at, head, factor in change.head_scale if on else ():
        if at in (None, layer):
            z[head] *= factor
    return weights, plain_linear(state, f"{name}.out_proj", z.transpose(0, 1).reshape(t, -1))


def plain_stack(state, config, place, ids, change, memory=None):
    """(hidden states, weights per layer, cross weights per layer, final) of one text without padding."""
    x = state["embed.tokens.weight"][ids]
    if config.n_types:
        x = x + state["embed.types.weight"][0]
    scheme = config.positions
    if change is not None and change.positions is not None and change.where in ("all", place):
        scheme = change.positions
    if scheme == "learned":
        x = x + state["embed.positions.weight"][: len(ids)]
    if scheme == "sinusoidal":
        x = x + positions.sinusoidal(len(ids), config.d_model).double()
    if config.embed_norm:
        x = plain_norm(state, "embed.norm", x, config.norm_eps)
    act = ACTIVATIONS[config.activation]
    hidden, all_weights, all_cross = [], [], []
    for i in range(config.n_layers):
        name = f"{place}.layers.{i}"

        def sublayer(x, norm, inner, name=name):
            if config.norm_first:
                return x + inner(plain_norm(state, f"{name}.{norm}", x, config.norm_eps))
            return plain_norm(state, f"{name}.{norm}", x + inner(x), config.norm_eps)

        def attend(y, what, other, where, causal, found, i=i, name=name):
            weights, out = plain_attention(
                state, f"{name}.{what}", config, y, y if other is None else other, causal, change, i, where
            )
            found.append(weights)
            return out

        hidden.append(x)
        x = sublayer(x, "norm1", lambda y: attend(y, "self_attn", None, place, place == "decoder", all_weights))
        if memory is not None:
            x = sublayer(x, "norm2", lambda y: attend(y, "multihead_attn", memory, "cross", False, all_cross))
        last = "norm2" if memory is None else "norm3"
        x = sublayer(
            x, last, lambda y, n=name: plain_linear(state, f"{n}.linear2", act(plain_linear(state, f"{n}.linear1", y)))
        )
    if config.final_norm:
        x = plain_norm(state, f"{place}.norm", x, config.norm_eps)
    return [*hidden, x], all_weights, all_cross, x


def plain_logits(state, config, final):
    if config.head == "classification":
        return plain_linear(state, "head.out", final[0 if config.kind == "encoder" else -1])
    if config.head_transform:
        final = ACTIVATIONS[config.activation](plain_linear(state, "head.dense", final))
        final = plain_norm(state, "head.norm", final, config.norm_eps)
    return plain_linear(state, "head.out", final)


# ------------------------------------------------------------------------------------------- strategies


@st.composite
def configs(draw) -> ModelConfig:
    heads = draw(st.sampled_from([1, 2, 3]))
    head = draw(st.sampled_from([None, "lm", "classification"]))
    flags = ("norm_first", "final_norm", "bias", "embed_norm", "tied", "head_transform")
    return ModelConfig(
        kind=draw(st.sampled_from(["encoder", "decoder", "encoder-decoder"])),
        vocab_size=13,
        max_len=8,
        d_model=heads * draw(st.sampled_from([2, 4])),
        n_heads=heads,
        n_layers=draw(st.integers(1, 2)),
        d_ff=draw(st.integers(1, 9)),
        activation=draw(st.sampled_from(["relu", "gelu", "gelu_tanh"])),
        norm_eps=draw(st.sampled_from([1e-5, 1e-12, 0.01])),
        positions=draw(st.sampled_from(["none", "sinusoidal", "learned", "rope", "alibi"])),
        n_types=draw(st.integers(0, 2)),
        head=head,
        n_classes=draw(st.integers(2, 4)) if head == "classification" else 0,
        **{flag: draw(st.booleans()) for flag in flags},
    )


@st.composite
def interventions(draw, config: ModelConfig, size: int) -> Intervention:
    """Any combination of changes that this model can take on texts of at least `size` tokens."""
    heads, layers = st.integers(0, config.n_heads - 1), st.integers(0, config.n_layers - 1)
    position = st.integers(0, size - 1)
    cell = st.tuples(position, position) | st.tuples(st.none() | layers, st.none() | heads, position, position)
    schemes = ["none", "sinusoidal", "rope", "alibi"] + ["learned"] * (config.positions == "learned")
    factor = st.floats(-2, 2, allow_subnormal=False)
    return Intervention(
        temperature=draw(st.just(1.0) | st.floats(0.3, 4)),
        scaled=draw(st.booleans()),
        mask=draw(st.none() | st.sampled_from(["causal", "none", ("window", 0), ("window", 1)])),
        blocked=draw(st.lists(cell, max_size=3)),
        head_scale=draw(st.dictionaries(heads | st.tuples(layers, heads), factor, max_size=3)),
        positions=draw(st.none() | st.sampled_from(schemes)),
        layers=draw(st.none() | st.lists(layers, max_size=2)),
        where=draw(st.sampled_from(["all", "encoder", "decoder", "cross"])),
    )


@st.composite
def cases(draw):
    """A random model, a padded batch of texts for it, and an intervention or none."""
    config = draw(configs())
    seed = draw(st.integers(0, 2**31))
    torch.manual_seed(seed)
    model = Transformer(config).double().eval().requires_grad_(False)
    scramble(model, 0.4)
    b = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(1, 5), min_size=b, max_size=b))
    goals = draw(st.lists(st.integers(1, 5), min_size=b, max_size=b))
    # a blocked cell has to exist in every matrix that it may concern
    size = min(max(lengths), max(goals)) if config.kind == "encoder-decoder" else max(lengths)
    change = draw(st.none() | interventions(config, size))
    return model, seed, lengths, goals, change


@settings(max_examples=examples(120))
@given(cases())
def test_every_run_is_that_of_a_second_implementation(case) -> None:
    """All kinds, norms, activations, positions and heads, padded batches, and every field of Intervention."""
    model, seed, lengths, goals, change = case
    config, state, crossed = model.config, model.state_dict(), model.config.kind == "encoder-decoder"
    ids = ids_of(len(lengths), max(lengths), seed=seed)
    target = ids_of(len(goals), max(goals), seed=seed + 1) if crossed else None
    options = {"target_lengths": goals} if crossed else {}
    trace = model(ids, target, lengths=lengths, intervention=change, **options)
    assert trace.config is config
    assert trace.lengths == tuple(goals if crossed else lengths)

    def compare(trace: Trace, row: int, n: int, hidden, weights) -> None:
        for ours, theirs in zip(trace.hidden_states, hidden, strict=True):
            close(ours[row, :n], theirs)
        for ours, theirs in zip(trace.attentions, weights, strict=True):
            close(ours[row, :, :n, :n], theirs)
            assert ours[row, :, :, n:].eq(0).all()  # nobody attends to padding

    for row, n in enumerate(lengths):
        place = "decoder" if config.kind == "decoder" else "encoder"
        hidden, weights, _, final = plain_stack(state, config, place, ids[row, :n], change)
        compare(trace.source if crossed else trace, row, n, hidden, weights)
        if crossed:
            m = goals[row]
            hidden, weights, cross, final = plain_stack(state, config, "decoder", target[row, :m], change, final)
            compare(trace, row, m, hidden, weights)
            for ours, theirs in zip(trace.cross_attentions, cross, strict=True):
                close(ours[row, :, :m, :n], theirs)
                assert ours[row, :, :, n:].eq(0).all()
        if config.head is None:
            assert trace.logits is None
        elif config.head == "lm":
            assert trace.logits.shape[2] == config.vocab_size
            close(trace.logits[row, : len(final)], plain_logits(state, config, final))
        else:
            close(trace.logits[row], plain_logits(state, config, final))


# ------------------------------------------------------------------------------------------------- the config


@given(configs())
def test_a_config_survives_json(config: ModelConfig) -> None:
    assert ModelConfig.from_json(config.to_json()) == config
    assert json.loads(config.to_json()) == asdict(config)
    assert hash(ModelConfig.from_json(config.to_json())) == hash(config)


@settings(max_examples=examples(60))
@given(configs())
def test_n_parameters_is_the_count_of_the_built_model(config: ModelConfig) -> None:
    assert config.n_parameters == sum(p.numel() for p in Transformer(config).parameters())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_counted_right(name: str) -> None:
    with torch.device("meta"):
        model = Transformer(preset(name))
    assert preset(name).n_parameters == sum(p.numel() for p in model.parameters())
    assert preset(name, dropout=0.25).dropout == 0.25
    assert preset(name, dropout=0.25) != PRESETS[name]


def test_the_base_preset_has_the_sizes_of_the_paper() -> None:
    base = preset("base", vocab_size=37_000)
    assert (base.kind, base.d_model, base.n_heads, base.n_layers, base.d_ff) == ("encoder-decoder", 512, 8, 6, 2048)
    assert base.n_parameters == pytest.approx(65e6, rel=0.04)  # Vaswani et al. 2017, table 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "oracle"}, ["'oracle'", "encoder"]),
        ({"kind": ["encoder"]}, ["kind=['encoder']"]),
        ({"d_model": 30, "n_heads": 4}, ["d_model=30", "n_heads=4"]),
        ({"vocab_size": 0}, ["vocab_size=0"]),
        ({"vocab_size": None}, ["vocab_size=None"]),
        ({"max_len": -1}, ["max_len=-1"]),
        ({"n_layers": 1.5}, ["n_layers=1.5"]),
        ({"n_layers": True}, ["n_layers=True"]),
        ({"n_layers": 10**6, "d_model": 1, "n_heads": 1, "d_ff": 1}, ["n_layers=1000000"]),
        ({"d_ff": "64"}, ["d_ff='64'"]),
        ({"d_model": 10**5, "n_heads": 1}, ["parameters", "2,000,000,000"]),
        ({"vocab_size": 10**9, "d_model": 64}, ["2,000,000,000"]),
        ({"dropout": 1.5}, ["dropout=1.5"]),
        ({"dropout": math.nan}, ["dropout=nan"]),
        ({"dropout": True}, ["dropout=True"]),
        ({"norm_eps": 0}, ["norm_eps=0"]),
        ({"norm_eps": -1e-5}, ["norm_eps=-1e-05"]),
        ({"norm_eps": math.nan}, ["norm_eps=nan"]),
        ({"norm_eps": "x"}, ["norm_eps='x'"]),
        ({"norm_eps": None}, ["norm_eps=None"]),
        ({"bias": "no"}, ["bias='no'"]),
        ({"norm_first": 1}, ["norm_first=1"]),
        ({"activation": "swish"}, ["'swish'", "gelu_tanh"]),
        ({"positions": "clock"}, ["'clock'", "rope"]),
        ({"positions": "rope", "d_model": 6, "n_heads": 2}, ["3"]),
        ({"positions": "sinusoidal", "d_model": 5, "n_heads": 1}, ["5"]),
        ({"n_types": -1}, ["n_types", "-1"]),
        ({"n_types": "2"}, ["n_types", "'2'"]),
        ({"head": "speech"}, ["'speech'", "lm"]),
        ({"head": "classification", "n_classes": 1}, ["n_classes=1"]),
        ({"head": "lm", "n_classes": 3}, ["n_classes=3", "'lm'"]),
        ({"n_classes": 3}, ["n_classes=3", "None"]),
        ({"head": "classification", "n_classes": "3"}, ["n_classes", "'3'"]),
    ],
)
def test_a_bad_config_is_refused_with_its_numbers(changes, words) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        ModelConfig(**changes)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "list"),
        ("null", "NoneType"),
        ('{"d_model": 64, "wings": 2, "beak": 1}', "beak, wings"),
        ('{"d_model": 30}', "d_model=30"),
        ('{"d_model": "big"}', "d_model='big'"),
    ],
)
def test_bad_json_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        ModelConfig.from_json(text)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match=r"'huge'.*tiny"):
        preset("huge")
    with pytest.raises(InvalidParameterError, match="d_model=7"):
        preset("tiny", d_model=7)


# ------------------------------------------------------------------------------------------------- the model


def test_a_seeded_generator_makes_the_same_model_whatever_else_draws() -> None:
    config = ModelConfig(**SMALL, kind="encoder-decoder", head="lm", tied=False, head_transform=True, n_types=2)

    def build(seed: int, noise: int) -> dict[str, Tensor]:
        torch.manual_seed(noise)
        return Transformer(config, torch.Generator().manual_seed(seed)).state_dict()

    one, again, other = build(5, 1), build(5, 2), build(6, 1)
    for name, x in one.items():
        assert torch.equal(x, again[name]), name
    assert not torch.equal(one["embed.tokens.weight"], other["embed.tokens.weight"])


def test_fresh_weights_are_those_of_gpt2_and_bert() -> None:
    state = Transformer(preset("test", d_model=128, d_ff=256, n_types=2, embed_norm=True, head="lm")).state_dict()
    for name, x in state.items():
        if name.endswith("bias"):
            assert x.eq(0).all(), name
        elif "norm" in name:
            assert x.eq(1).all(), name
        else:
            tolerance = 5 * 0.02 / math.sqrt(2 * x.numel())  # five standard errors of the estimate
            assert x.std().item() == pytest.approx(0.02, abs=tolerance), name


@pytest.mark.parametrize("kind", ["encoder", "decoder", "encoder-decoder"])
def test_shapes_and_forms_of_a_trace(kind: str) -> None:
    model = small(kind=kind, head="lm", final_norm=True)
    ids, target = ids_of(3, 5), ids_of(3, 4, seed=9) if kind == "encoder-decoder" else None
    trace = model(ids, target)
    t = 4 if target is not None else 5
    assert len(trace.layers) == len(trace.attentions) == 2
    assert len(trace.hidden_states) == 3
    assert all(x.shape == (3, 2, t, t) for x in trace.attentions)
    assert all(x.shape == (3, t, 8) for x in trace.hidden_states)
    assert torch.equal(trace.hidden_states[0], trace.layers[0].resid_pre)
    assert torch.equal(trace.hidden_states[1], trace.layers[0].resid_post)
    assert torch.equal(trace.hidden_states[2], trace.final)
    assert torch.equal(trace.layers[1].resid_pre, trace.layers[0].resid_post)
    assert trace.logits.shape == (3, t, 13)
    assert trace.encodings == ()
    assert trace.tokens == []
    assert trace.intervention is None
    assert f"2 layers × 2 heads, 3 × {t} tokens" in repr(trace)
    if target is None:
        assert trace.source is None
        assert trace.cross_attentions == ()
        assert trace.layers[0].cross_attention is None
    else:
        assert trace.source.logits is None
        assert trace.source.final.shape == (3, 5, 8)
        assert [x.shape for x in trace.cross_attentions] == [(3, 2, 4, 5)] * 2
    with pytest.raises(FrozenInstanceError):
        trace.final = ids


@pytest.mark.parametrize("kind", ["encoder", "decoder", "encoder-decoder"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_the_residual_stream_chains(kind: str, norm_first: bool) -> None:
    model = small(kind=kind, norm_first=norm_first)
    trace = model(ids_of(2, 5), ids_of(2, 4) if kind == "encoder-decoder" else None)
    stack = model.encoder if kind == "encoder" else model.decoder
    for layer, run in zip(stack["layers"], trace.layers, strict=True):
        mid = run.resid_pre + run.attention.out
        close(run.resid_mid, mid if norm_first else layer.norm1(mid))
        before = run.resid_mid
        if run.resid_cross is not None:
            before = run.resid_mid + run.cross_attention.out
            before = before if norm_first else layer.norm2(before)
            close(run.resid_cross, before)
        last = layer.norm2 if run.resid_cross is None else layer.norm3
        post = before + layer.feed_forward(last(before) if norm_first else before)
        close(run.resid_post, post if norm_first else last(post))


@pytest.mark.parametrize("name", ["tiny", "bert", "gpt", "test"])
def test_presets_run(name: str) -> None:
    config = preset(name)
    trace = Transformer(config).eval()(torch.randint(0, config.vocab_size, (2, 6)))
    assert trace.final.isfinite().all()
    assert (trace.logits is None) == (config.head is None)
    close(trace.attentions[-1].sum(-1), torch.ones(2, config.n_heads, 6))


def test_a_padded_batch_equals_single_runs_in_float32() -> None:
    for kind in ("encoder", "decoder"):
        config = ModelConfig(**SMALL, kind=kind, head="lm")
        model = Transformer(config).eval()
        scramble(model, 0.3)
        ids, lengths = ids_of(3, 8), [8, 3, 1]
        batch = model(ids, lengths=lengths)
        for row, n in enumerate(lengths):
            single = model(ids[row : row + 1, :n])
            close(batch.logits[row : row + 1, :n], single.logits, 1e-5)
            close(batch.final[row : row + 1, :n], single.final, 1e-5)


def test_what_stands_in_the_padding_changes_nothing() -> None:
    model = small()
    ids = ids_of(1, 6)
    other = ids.clone()
    other[:, 4:] = 12 - other[:, 4:]
    close(model(ids, lengths=[4]).final[:, :4], model(other, lengths=[4]).final[:, :4], 1e-15)


@given(st.integers(0, 2**31), st.booleans())
def test_without_positions_an_encoder_is_equivariant_to_permutation(seed: int, norm_first: bool) -> None:
    model = small(seed, positions="none", norm_first=norm_first)
    ids, order = ids_of(2, 7, seed=seed), torch.randperm(7)
    one, other = model(ids), model(ids[:, order])
    close(other.final, one.final[:, order])
    close(other.attentions[1], one.attentions[1][:, :, order][..., order])


@pytest.mark.parametrize("scheme", ["sinusoidal", "learned", "rope", "alibi"])
def test_with_positions_order_matters_and_switching_them_off_makes_it_a_set(scheme: str) -> None:
    model = small(positions=scheme)
    ids, order = ids_of(1, 6), torch.tensor([5, 3, 0, 1, 4, 2])
    assert not torch.allclose(model(ids[:, order]).final, model(ids).final[:, order], atol=1e-3)
    off = Intervention(positions="none")
    close(model(ids[:, order], intervention=off).final, model(ids, intervention=off).final[:, order])


@pytest.mark.parametrize("scheme", ["none", "sinusoidal", "learned", "rope", "alibi"])
@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
def test_a_causal_decoder_does_not_leak(scheme: str, kind: str) -> None:
    model = small(kind=kind, positions=scheme, head="lm")
    ids, later = ids_of(2, 7), ids_of(2, 7)
    later[:, 4:] = (later[:, 4:] + 5) % 13
    source = [ids_of(2, 5, seed=3)] if kind == "encoder-decoder" else []
    one, other = model(*source, ids), model(*source, later)
    close(one.logits[:, :4], other.logits[:, :4], 1e-14)
    assert not torch.allclose(one.logits[:, 4:], other.logits[:, 4:])
    for weights in one.attentions:
        assert weights.triu(1).eq(0).all()


def test_a_decoder_without_its_mask_leaks() -> None:
    """The leak test can fail: mask="none" lets the future in."""
    model, off = small(kind="decoder"), Intervention(mask="none")
    ids = ids_of(1, 7)
    later = ids.clone()
    later[:, 6] = (later[:, 6] + 5) % 13
    one, other = model(ids, intervention=off), model(later, intervention=off)
    assert not torch.allclose(one.final[:, 0], other.final[:, 0], atol=1e-4)
    window = model(ids, intervention=Intervention(mask=("window", 2)))  # stays causal in a causal model
    assert window.attentions[0].triu(1).eq(0).all()


def test_alibi_depends_on_distances_only_and_reaches_beyond_training() -> None:
    """Repeating one token, every inner cell of an encoder sees the same scores at the same distance."""
    model = small(positions="alibi")
    scores = model(torch.full((1, 8), 3)).layers[0].attention.scores[0, 0]
    for offset in range(-7, 8):
        diagonal = scores.diagonal(offset)
        close(diagonal, diagonal[:1].expand_as(diagonal))


@pytest.mark.parametrize("head", ["lm", "classification"])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_logits_do_not_depend_on_padding(head: str, kind: str) -> None:
    model = small(kind=kind, head=head, n_classes=3 if head == "classification" else 0)
    ids = ids_of(1, 4)
    padded = F.pad(ids, (0, 3), value=12)
    logits = model(padded, lengths=[4]).logits
    assert logits.shape == ((1, 7, 13) if head == "lm" else (1, 3))
    close(logits[:, :4] if head == "lm" else logits, model(ids).logits)


def test_tied_and_untied_heads() -> None:
    tied, untied = small(head="lm"), small(head="lm", tied=False)
    assert tied.head["out"].weight is tied.embed["tokens"].weight
    assert untied.head["out"].weight is not untied.embed["tokens"].weight
    again = copy.deepcopy(tied)
    assert again.head["out"].weight is again.embed["tokens"].weight


def test_types_choose_segments() -> None:
    model = small(n_types=2)
    ids = ids_of(1, 4)
    plain = model(ids)
    close(model(ids, types=torch.zeros_like(ids)).final, plain.final)
    split = model(ids, types=torch.tensor([[0, 0, 1, 1]])).layers[0].resid_pre - plain.layers[0].resid_pre
    table = model.embed["types"].weight
    close(split[0], torch.stack([table[0] * 0, table[0] * 0, table[1] - table[0], table[1] - table[0]]))


def test_a_trace_grows_with_the_tokens_and_not_with_their_square() -> None:
    for kind in ("encoder", "decoder", "encoder-decoder"):
        for scheme in ("learned", "alibi", "rope"):
            model = small(kind=kind, max_len=64, positions=scheme, head="lm")
            sizes = []
            for n in (16, 32, 48, 64):
                ids = ids_of(2, n)
                trace = model(ids, ids if kind == "encoder-decoder" else None, lengths=[n, n - 3])
                sizes.append(trace.nbytes)
            steps = [b - a for a, b in pairwise(sizes)]
            assert min(steps) > 0
            assert max(steps) <= 1.01 * min(steps), (kind, scheme, sizes)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("change", [None, Intervention(positions="none", layers=(1,)), Intervention(temperature=0.5)])
def test_the_first_layers_run_as_in_the_whole_model(kind: str, change: Intervention | None) -> None:
    model, ids = small(kind=kind, n_layers=3), ids_of(2, 5)
    whole = model(ids, intervention=change)
    for n in (1, 2, 3):
        begun = model.first_layers(ids, n, change)
        assert len(begun.layers) == n and begun.lengths == whole.lengths and begun.intervention is change
        for ours, theirs in zip(begun.layers, whole.layers, strict=False):
            assert torch.equal(ours.resid_post, theirs.resid_post)
            assert torch.equal(ours.attention.weights, theirs.attention.weights)
    assert torch.equal(begun.final, whole.final)


def test_a_run_that_cannot_stop_early_says_so() -> None:
    model = small()
    for n in (0, 3):
        with pytest.raises(InvalidParameterError, match=f"n_layers={n} of 2"):
            model.first_layers(ids_of(1, 4), n)
    both = small(kind="encoder-decoder")
    assert model.stops_early and not both.stops_early
    with pytest.raises(InvalidParameterError, match="stops early"):
        both.first_layers(ids_of(1, 4), 1)


def test_nbytes_counts_each_tensor_once() -> None:
    model = small(n_layers=1)
    trace = model(ids_of(1, 4))
    layer = trace.layers[0]
    distinct = {
        x.untyped_storage().data_ptr(): x.untyped_storage().nbytes()
        for x in (
            layer.resid_pre,
            layer.resid_mid,
            layer.resid_post,
            layer.feed_forward,
            layer.attention.q,
            layer.attention.k,
            layer.attention.v,
            layer.attention.z,
            layer.attention.out,
            trace.final,
        )
    }
    assert trace.nbytes == sum(distinct.values())
    assert trace.nbytes == 9 * 4 * 8 * 8  # pre, mid, post, fed, qkv packed (3), z, out; each 4 × 8 float64


# -------------------------------------------------------------------------------------------- interventions


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("head", [0, 1])
def test_switching_a_head_off_takes_its_z_wo_away(layer: int, head: int) -> None:
    model, ids = small(), ids_of(2, 6)
    plain = model(ids).layers[layer]
    off = model(ids, intervention=Intervention(head_scale={(layer, head): 0.0})).layers[layer]
    w_o = model.encoder["layers"][layer].self_attn.out_proj.weight[:, head * 4 : (head + 1) * 4]
    close(off.attention.out, plain.attention.out - plain.attention.z[:, head] @ w_o.T)
    assert off.attention.z[:, head].eq(0).all()
    assert torch.equal(off.attention.weights, plain.attention.weights)
    half = model(ids, intervention=Intervention(head_scale={(layer, head): 0.5})).layers[layer]
    close(half.attention.out, plain.attention.out - 0.5 * plain.attention.z[:, head] @ w_o.T)


CHANGES = [
    Intervention(temperature=0.2),
    Intervention(temperature=7.0),
    Intervention(scaled=False),
    Intervention(mask="causal"),
    Intervention(mask=("window", 1)),
    Intervention(blocked=[(2, 1)]),
    Intervention(blocked=[(None, 1, 2, 1)]),
    Intervention(head_scale={0: 0.0}),
    Intervention(head_scale={1: -1.0}),
    Intervention(positions="none"),
    Intervention(positions="sinusoidal"),
    Intervention(positions="rope"),
    Intervention(positions="alibi"),
    Intervention(temperature=0.5, scaled=False, mask="causal", head_scale={(0, 1): 0.0}, positions="rope"),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("grad", [False, True])
def test_every_field_changes_the_output_on_every_path(change: Intervention, grad: bool) -> None:
    """With and without gradients, trained or not: the kernels differ, the intervention acts."""
    model = small()
    model.requires_grad_(grad)
    ids = ids_of(2, 6)
    plain, changed = model(ids), model(ids, intervention=change)
    assert (plain.final - changed.final).abs().max() > 1e-3
    assert changed.intervention == change
    model.train()  # dropout is 0: the same numbers
    close(model(ids, intervention=change).final, changed.final)


@pytest.mark.parametrize("change", CHANGES)
def test_the_shared_model_is_left_untouched(change: Intervention) -> None:
    model = small(kind="encoder-decoder", head="lm")
    state = {name: x.clone() for name, x in model.state_dict().items()}
    ids = ids_of(2, 6)
    before = model(ids, ids)
    model(ids, ids, intervention=change)
    after = model(ids, ids)
    assert torch.equal(before.logits, after.logits)
    for one, other in zip(before.layers, after.layers, strict=True):
        assert torch.equal(one.resid_post, other.resid_post)
        assert torch.equal(one.attention.weights, other.attention.weights)
        assert torch.equal(one.cross_attention.weights, other.cross_attention.weights)
    assert all(torch.equal(state[name], x) for name, x in model.state_dict().items())


def test_eight_threads_share_a_model() -> None:
    """Each with its own intervention, over and over: everyone gets what they get alone, bit for bit."""
    model = small(kind="decoder", head="lm")
    ids = [ids_of(1 + n % 3, 8 - n % 4, seed=n) for n in range(8)]
    changes = [None, *CHANGES[:7]]
    alone = [model(x, intervention=c).logits for x, c in zip(ids, changes, strict=True)]
    wrong: list[object] = []
    start = threading.Barrier(8)

    def session(n: int) -> None:
        try:
            start.wait(timeout=30)
            for _ in range(15):
                with torch.inference_mode():
                    if not torch.equal(model(ids[n], intervention=changes[n]).logits, alone[n]):
                        wrong.append(n)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=session, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_layers_choose_where_a_change_acts() -> None:
    model, ids = small(), ids_of(1, 6)
    plain = model(ids)
    late = model(ids, intervention=Intervention(temperature=0.2, layers=(1,)))
    assert torch.equal(late.attentions[0], plain.attentions[0])
    assert not torch.allclose(late.attentions[1], plain.attentions[1])
    assert late.layers[0].attention.temperature == 1.0
    assert late.layers[1].attention.temperature == 0.2
    early = model(ids, intervention=Intervention(temperature=0.2, layers=0))
    assert not torch.allclose(early.attentions[0], plain.attentions[0])
    close(early.attentions[0], (plain.layers[0].attention.scores / 0.2).softmax(-1))
    none = model(ids, intervention=Intervention(temperature=0.2, layers=()))
    assert torch.equal(none.final, plain.final)


@pytest.mark.parametrize("where", ["encoder", "decoder", "cross"])
@pytest.mark.parametrize(
    "change", [{"temperature": 0.2}, {"scaled": False}, {"head_scale": {0: 0.0}}, {"blocked": [(1, 0)]}]
)
def test_where_chooses_the_kind_of_attention(where: str, change: dict) -> None:
    model = small(kind="encoder-decoder")
    ids, target = ids_of(1, 6), ids_of(1, 5)
    plain, changed = model(ids, target), model(ids, target, intervention=Intervention(**change, where=where))
    places = {
        "encoder": (plain.source.layers[0].attention, changed.source.layers[0].attention),
        "decoder": (plain.layers[0].attention, changed.layers[0].attention),
        "cross": (plain.layers[0].cross_attention, changed.layers[0].cross_attention),
    }
    differs = {place for place, (a, b) in places.items() if not torch.equal(a.out, b.out)}
    # what is computed from a changed value changes too
    assert differs == {"encoder": {"encoder", "cross"}, "decoder": {"decoder", "cross"}, "cross": {"cross"}}[where]
    touched = {p for p, (a, b) in places.items() if not torch.equal(a.q, b.q) or not torch.equal(a.k, b.k)}
    assert where not in touched or where == "cross"


@pytest.mark.parametrize("where", ["encoder", "decoder", "cross"])
def test_where_chooses_whose_positions_change(where: str) -> None:
    model = small(kind="encoder-decoder", positions="sinusoidal")
    ids, target = ids_of(1, 6), ids_of(1, 5)
    plain = model(ids, target)
    changed = model(ids, target, intervention=Intervention(positions="none", where=where))
    same_source = torch.equal(changed.source.layers[0].resid_pre, plain.source.layers[0].resid_pre)
    same_target = torch.equal(changed.layers[0].resid_pre, plain.layers[0].resid_pre)
    assert (same_source, same_target) == (where != "encoder", where != "decoder")


def test_blocked_cells_get_no_weight_and_the_others_share_it() -> None:
    model, ids = small(), ids_of(2, 6)
    plain = model(ids).layers[0].attention
    change = Intervention(blocked=[(2, 3), (0, 1, 4, 4), (1, None, 5, 0)])
    first, second = (layer.attention.weights for layer in model(ids, intervention=change).layers)
    assert first[:, :, 2, 3].eq(0).all()
    assert first[:, 1, 4, 4].eq(0).all()
    assert first[:, 0, 4, 4].gt(0).all()
    assert second[:, :, 5, 0].eq(0).all()
    assert second[:, :, 2, 3].eq(0).all()
    assert first[:, :, 5, 0].gt(0).all()
    rest = plain.weights[:, :, 2].clone()
    rest[:, :, 3] = 0
    close(first[:, :, 2], rest / rest.sum(-1, keepdim=True))
    close(first.sum(-1), torch.ones(2, 2, 6, dtype=F64))


def test_blocking_a_whole_row_starves_it() -> None:
    model, ids = small(), ids_of(1, 4)
    trace = model(ids, intervention=Intervention(blocked=[(2, j) for j in range(4)]))
    for layer in trace.layers:
        assert layer.attention.weights[:, :, 2].eq(0).all()
        assert layer.attention.z[:, :, 2].eq(0).all()
    assert trace.final.isfinite().all()


@pytest.mark.parametrize("scheme", ["none", "sinusoidal", "learned", "rope", "alibi"])
def test_switching_positions_to_the_models_own_changes_nothing(scheme: str) -> None:
    model, ids = small(positions=scheme), ids_of(1, 6)
    assert torch.equal(model(ids, intervention=Intervention(positions=scheme)).final, model(ids).final)


def test_positions_inside_attention_change_only_in_the_chosen_layers() -> None:
    model, ids = small(positions="none"), ids_of(1, 6)
    for scheme in ("rope", "alibi"):
        plain, changed = model(ids), model(ids, intervention=Intervention(positions=scheme, layers=[1]))
        assert torch.equal(changed.layers[0].attention.scores, plain.layers[0].attention.scores)
        assert not torch.allclose(changed.layers[1].attention.scores, plain.layers[1].attention.scores)


def test_temperature_and_mask_agree_with_a_change_of_the_weights_themselves() -> None:
    """An outside check: the temperature is the same as dividing W_Q by it."""
    model, ids = small(), ids_of(1, 6)
    twin = copy.deepcopy(model)
    for layer in twin.encoder["layers"]:
        layer.self_attn.in_proj_weight[:8] /= 0.3
        layer.self_attn.in_proj_bias[:8] /= 0.3
    close(model(ids, intervention=Intervention(temperature=0.3)).final, twin(ids).final)
    close(
        model(ids, intervention=Intervention(temperature=2.0)).final,
        model(ids, intervention=Intervention(scaled=False, temperature=4.0)).final,  # √d is 2 here
    )


def test_interventions_act_in_float32_and_half_too() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model = Transformer(ModelConfig(**SMALL, positions="alibi")).to(dtype).eval()
        scramble(model, 0.4)
        ids = ids_of(2, 6)
        trace = model(ids, lengths=[6, 4], intervention=Intervention(mask="causal", temperature=0.5))
        assert trace.final.dtype == trace.attentions[0].dtype == dtype
        assert trace.final.isfinite().all()
        assert trace.attentions[0].triu(1).eq(0).all()


# ------------------------------------------------------------------------------------------------- bad input

IDS = torch.zeros(2, 4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m(IDS.float()), DTypeError, ["float32", "int64"]),
        (lambda m: m([[1, 2]]), DTypeError, ["list"]),
        (lambda m: m(IDS[0]), ShapeError, ["(4,)"]),
        (lambda m: m(IDS[:, :0]), ShapeError, ["(2, 0)"]),
        (lambda m: m(torch.zeros(1, 9, dtype=torch.int64)), ShapeError, ["9", "8"]),
        (lambda m: m(IDS + 13), InvalidParameterError, ["13", "12"]),
        (lambda m: m(IDS - 1), InvalidParameterError, ["-1"]),
        (lambda m: m(IDS, lengths=[4]), ShapeError, ["(4,)", "(2, 4)"]),
        (lambda m: m(IDS, lengths=[4, 0]), ShapeError, ["(4, 0)"]),
        (lambda m: m(IDS, lengths=[5, 4]), ShapeError, ["(5, 4)"]),
        (lambda m: m(IDS, lengths=3), ShapeError, ["3"]),
        (lambda m: m(IDS, lengths=["a", "b"]), ShapeError, ["a"]),
        (lambda m: m(IDS, IDS), InvalidParameterError, ["encoder", "target"]),
        (lambda m: m(IDS, types=IDS[:, :3]), ShapeError, ["(2, 3)", "(2, 4)"]),
        (lambda m: m(IDS, types=IDS[:1, :1]), ShapeError, ["(1, 1)", "(2, 4)"]),
        (lambda m: m(IDS, types=IDS + 2), InvalidParameterError, ["2"]),
        (lambda m: m(IDS, types=IDS - 1), InvalidParameterError, ["-1"]),
        (lambda m: m(IDS, types=IDS.float()), DTypeError, ["float32"]),
        (lambda m: m(IDS, types=[[0] * 4] * 2), DTypeError, ["list"]),
        (lambda m: m(IDS, intervention=Intervention(scaled=False, layers=[2])), InvalidParameterError, ["layer 2"]),
        (lambda m: m(IDS, intervention=Intervention(blocked=[(2, 0, 0, 0)])), InvalidParameterError, ["layer 2 of 2"]),
        (lambda m: m(IDS, intervention=Intervention(blocked=[(0, 2, 0, 0)])), InvalidParameterError, ["head 2"]),
        (lambda m: m(IDS, intervention=Intervention(blocked=[(4, 0)])), InvalidParameterError, ["(4, 0)", "4 × 4"]),
        (lambda m: m(IDS, intervention=Intervention(head_scale={2: 0.0})), InvalidParameterError, ["head 2 of 2"]),
        (lambda m: m(IDS, intervention=Intervention(head_scale={(5, 0): 0.0})), InvalidParameterError, ["layer 5"]),
    ],
)
def test_bad_input_is_refused_with_its_numbers(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call(small(n_types=2))
    for word in words:
        assert word in str(caught.value)


def test_an_encoder_decoder_needs_a_target_that_fits() -> None:
    model = small(kind="encoder-decoder")
    with pytest.raises(InvalidParameterError, match="target"):
        model(IDS)
    with pytest.raises(ShapeError, match=r"3.*2|2.*3"):
        model(IDS, torch.zeros(3, 4, dtype=torch.int64))
    with pytest.raises(ShapeError, match="9"):
        model(IDS, torch.zeros(2, 9, dtype=torch.int64))


def test_positions_a_model_cannot_take_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="learned"):
        small(positions="none")(IDS, intervention=Intervention(positions="learned"))
    with pytest.raises(InvalidParameterError, match="3"):
        small(d_model=6)(IDS, intervention=Intervention(positions="rope"))
    with pytest.raises(InvalidParameterError, match="5"):
        small(d_model=5, n_heads=1)(IDS, intervention=Intervention(positions="sinusoidal"))


def test_types_without_segments_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="types"):
        small()(IDS, types=IDS)
