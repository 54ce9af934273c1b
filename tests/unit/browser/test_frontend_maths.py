"""The view's JavaScript against torch and NumPy, on the same messages."""

import itertools
import math
import subprocess
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attnviz import Intervention, Mask, load
from attnviz.browser.attention_message import pack
from attnviz.browser.bundle import FOLDER, BundleError, bundle, css, javascript
from attnviz.nn.positions import alibi_slopes
from tests.support.node import run_node
from tests.support.traces import attention, browser_weights, encoding_of, softmax, trace_of, true_weights

MASKS = {
    "none": Mask(),
    "causal": Mask(causal=True),
    "window": Mask(window=2),
    "causal window": Mask(causal=True, window=1),
    "padding": Mask(lengths=(4, 6)),
    "causal padding": Mask(causal=True, lengths=(2, 5)),
    "blocked": Mask(blocked=((None, 1, 1), (2, 0, 3), (0, 4, 4))),
    "dense": Mask(dense=torch.rand(2, 3, 7, 7, generator=torch.Generator().manual_seed(5)) > 0.4),
    "dense of one head": Mask(dense=torch.rand(7, 7, generator=torch.Generator().manual_seed(6)) > 0.4),
    "real keys": Mask(keys=torch.tensor([[True, False] * 3 + [True], [False] * 3 + [True] * 4])[:, None, None]),
    "extra keys": Mask(causal=True, window=1, extra=2, blocked=((None, 3, 3),)),
    "extra keys after padding": Mask(lengths=(4, 2), extra=1),
    "empty rows": Mask(dense=torch.ones(7, 7, dtype=torch.bool).tril(-3)),
    "nothing": Mask(dense=torch.zeros(1, 1, 7, 7, dtype=torch.bool)),
}


def apart(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).max())


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_as_run(mask: Mask) -> None:
    """Every mask, with and without 1/√d, at five temperatures, for two texts of a batch."""
    layers = tuple(
        attention(mask=mask, batch=2, seed=seed, scale=scale, temperature=temperature, size=2.0)
        for seed, (scale, temperature) in enumerate(itertools.product((None, 1.0), (0.05, 0.5, 1.0, 2.0, 20.0)))
    )
    for batch in (0, 1):
        found = browser_weights(pack(trace_of(*layers), batch=batch))
        assert apart(found, true_weights(*layers, batch=batch)) <= 1e-5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 1), (5, 4, 3), (9, 6, 5), (64, 64, 32), (13, 40, 7)])
def test_odd_sizes(sizes: tuple[int, int, int], seed: int) -> None:
    """Numbers of queries, keys and dimensions that fill no block of the inner loop."""
    n_queries, n_keys, width = sizes
    layer = attention(n_queries, n_keys, width=width, seed=seed)
    assert apart(browser_weights(pack(trace_of(layer))), true_weights(layer)) <= 1e-5


@pytest.mark.parametrize("mask", ["causal", "window", "none", "model"])
@pytest.mark.parametrize("scaled", [True, False, None])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
def test_settings_replace_what_the_layer_ran_with(mask: str, scaled: bool | None, temperature: float) -> None:
    """They give what the model itself gives under the same Intervention, on what it saw without."""
    own = attention(mask=Mask(causal=True, lengths=(5,), blocked=((None, 2, 0),)), temperature=3.0, scale=0.2)
    settings = {"mask": mask, "window": 2, "scaled": scaled, "temperature": temperature}
    pattern: Any = {"window": ("window", 2)}.get(mask, mask)
    changed = replace(
        own,
        temperature=temperature,
        scale=own.scale if scaled is None or scaled else 1.0,
        mask=own.mask if mask == "model" else own.mask.replaced(pattern),
    )
    assert apart(browser_weights(pack(trace_of(own)), settings), true_weights(changed)) <= 1e-5


@pytest.mark.parametrize("pattern", ["causal", "none", ("window", 1)])
def test_what_says_which_keys_are_real_stays_under_every_mask(pattern: Any) -> None:
    keys = torch.tensor([True, True, False, True, True, False, True])[None, None, None]
    own = attention(8, mask=Mask(keys=keys, dense=torch.ones(8, 7, dtype=torch.bool).tril(1), extra=1))
    changed = replace(own, mask=own.mask.replaced(pattern))
    settings = {"mask": pattern} if isinstance(pattern, str) else {"mask": "window", "window": pattern[1]}
    assert apart(browser_weights(pack(trace_of(own)), settings), true_weights(changed)) <= 1e-5


def test_the_factor_switched_off_in_the_run_can_be_switched_on_again() -> None:
    layer, change = attention(scale=1.0), Intervention(scaled=False)
    found = browser_weights(pack(trace_of(layer, intervention=change)), {"scaled": True})
    assert apart(found, true_weights(replace(layer, scale=8**-0.5))) <= 1e-5
    own = browser_weights(pack(trace_of(layer, intervention=change)))
    assert apart(own, true_weights(layer)) <= 1e-5


@pytest.mark.parametrize("mask", [Mask(), Mask(causal=True), MASKS["dense"], MASKS["empty rows"]])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 4.0])
def test_soft_caps_and_sinks(mask: Mask, temperature: float) -> None:
    own = {"size": 2.0, "batch": 2, "mask": mask, "temperature": temperature}
    layers = (
        attention(softcap=1.5, bias=torch.randn(1, 3, 7, 7), **own),
        attention(seed=1, sinks=torch.tensor([0.3, -1.0, 8.0]), **own),
        attention(seed=2, softcap=3.0, sinks=torch.zeros(3), **own),
    )
    assert apart(browser_weights(pack(trace_of(*layers), batch=1)), true_weights(*layers, batch=1)) <= 1e-5


def test_why_a_weight_under_a_cap_with_a_sink_is_what_it_is() -> None:
    layer = attention(softcap=1.5, sinks=torch.tensor([0.3, -1.0, 0.5]), size=2.0)
    script = "give(maths.explain(unpack.unpack(message), 0, 1, 2, 3))"
    steps = run_node(script, pack(trace_of(layer)))
    product = float((layer.q[0, 1, 2] @ layer.k[0, 1, 3]) * layer.scale)
    assert steps["capped"] == pytest.approx(1.5 * math.tanh(product / 1.5), abs=1e-5)
    assert steps["score"] == steps["capped"] and steps["sink"] == -1.0
    assert steps["weight"] == pytest.approx(float(layer.weights[0, 1, 2, 3]), abs=1e-6)


@pytest.mark.parametrize("heads", [2, 3, 12])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_alibi_from_its_slopes(heads: int, temperature: float) -> None:
    slopes = alibi_slopes(heads)
    layers = [
        attention(30, heads=heads, alibi=slopes, mask=mask, temperature=temperature)
        for mask in (Mask(), Mask(causal=True))
    ]
    message = pack(trace_of(*layers))
    assert len(message) < len(pack(trace_of(*(replace(one, alibi=None) for one in layers)))) + 1000
    assert apart(browser_weights(message), true_weights(*layers)) <= 1e-5


@pytest.mark.parametrize("shape", [(7, 7), (1, 3, 7, 7), (1, 1, 1, 7), (1, 3, 1, 7), (1, 1, 7, 1)])
def test_dense_bias(shape: tuple[int, ...]) -> None:
    bias = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    if shape[-1] > 1:
        bias.flatten()[2] = -math.inf
    layer = attention(bias=bias, alibi=alibi_slopes(3), temperature=0.7)
    assert apart(browser_weights(pack(trace_of(layer))), true_weights(layer).round(9)) <= 1e-5


@pytest.mark.parametrize("mask", [Mask(), Mask(causal=True)], ids=["all", "causal"])
@pytest.mark.parametrize("n", [65, 128])
def test_half_precision(n: int, mask: Mask) -> None:
    layers = [attention(n, width=32, heads=4, seed=seed, mask=mask, size=1.5) for seed in range(3)]
    found = browser_weights(pack(trace_of(*layers)))
    assert 0 < apart(found, true_weights(*layers)) <= 0.003


def test_minilm_at_both_precisions() -> None:
    model = load("minilm")
    for text, limit in (
        ("The animal didn't cross the street because it was tired.", 1e-5),
        ("a road to the sea " * 25, 0.003),
    ):
        trace = model.run(text)
        layers = [layer.attention for layer in trace.layers]
        assert apart(browser_weights(pack(trace)), true_weights(*layers)) <= limit


def test_against_a_softmax_of_our_own() -> None:
    """So that an error shared by torch's path and the browser's would show."""
    layer = attention(6, mask=Mask(causal=True), temperature=2.0)
    scores = torch.einsum("bhtd,bhsd->bhts", layer.q.double(), layer.k.double()) / math.sqrt(8) / 2
    expected = softmax(scores.float(), torch.ones(6, 6, dtype=torch.bool).tril())
    assert apart(browser_weights(pack(trace_of(layer))), expected.flatten().numpy()) <= 1e-5


def test_the_exponential() -> None:
    x = np.concatenate([-np.logspace(-12, 2.1, 500), [0.0, -1e9, -3e38], -np.arange(0, 104, 0.37)])
    found = np.array(run_node("give(inputs.map(maths.expOf))", inputs=x.tolist()))
    assert np.abs(found - np.exp(x)).max() <= 1e-11
    seen = x >= -104
    assert np.abs(found[seen] / np.exp(x[seen]) - 1).max() <= 1e-11
    assert run_node("give([maths.expOf(-Infinity), Number.isNaN(maths.expOf(NaN))])") == [0, True]


def test_large_scores_do_not_overflow() -> None:
    layer = attention(size=100.0, temperature=0.01)
    found = browser_weights(pack(trace_of(layer)))
    assert np.isfinite(found).all()
    assert apart(found, true_weights(layer)) <= 1e-5


def test_one_nan_spoils_its_row_or_column_as_in_torch() -> None:
    layer = attention()
    layer.q[0, 0, 2, 1] = math.nan
    found = browser_weights(pack(trace_of(layer))).reshape(3, 7, 7)
    assert np.isnan(found[0, 2]).all() and np.isnan(found).sum() == 7
    layer.k[0, 1, 3, 0] = math.inf
    found, expected = browser_weights(pack(trace_of(layer))).reshape(3, 7, 7), layer.weights[0].numpy()
    assert np.array_equal(np.isnan(found), np.isnan(expected))


ROWS = """
const model = unpack.unpack(message), out = [];
const settings = [{}, {temperature: 0.3, scaled: false, mask: "causal"}, {mask: "window", window: 1}];
for (const cached of [false, true]) for (const one of settings) {
  if (cached) maths.raw(model, 0, 1);
  for (let i = 0; i < model.T; i++) out.push(...maths.weightsRow(model, 0, 1, i, one));
}
for (const one of settings) out.push(...maths.weights(model, 0, 1, one));
giveFloats(out);
"""


def test_one_row_equals_the_row_of_the_whole() -> None:
    layer = attention(9, mask=Mask(lengths=(8,)), alibi=alibi_slopes(3))
    cold, warm, whole = np.split(run_node(ROWS, pack(trace_of(layer))), 3)
    assert apart(cold, whole) <= 1e-6 and np.array_equal(warm, whole)


def test_a_reused_array_holds_nothing_of_before() -> None:
    script = """
    const model = unpack.unpack(message), out = new Float32Array(49).fill(9);
    maths.weights(model, 0, 0, {mask: "causal"}, out);
    giveFloats([...out, ...maths.weights(model, 0, 0, {mask: "causal"})]);
    """
    first, second = np.split(run_node(script, pack(trace_of(attention()))), 2)
    assert np.array_equal(first, second) and not np.triu(first.reshape(7, 7), 1).any()


def test_the_cache_is_bounded() -> None:
    """More heads than fit: numbers stay right, the oldest makes room, and a sweep pushes nothing out."""
    script = """
    const model = unpack.unpack(message), first = maths.raw(model, 0, 0);
    let wrong = 0;
    for (let h = 0; h < model.headsN; h++) maths.raw(model, 0, h, false);
    const kept = maths.raw(model, 0, 0) === first;
    for (let h = 0; h < model.headsN; h++) {
      const all = maths.raw(model, 0, h), mine = maths.products(model, 0, h, 3, 5).reduce((a, b) => a + b, 0);
      if (Math.abs(all[3 * model.S + 5] - mine) > 1e-4) wrong++;
    }
    const dropped = maths.raw(model, 0, 0) !== first;
    give({kept, dropped, wrong});
    """
    message = pack(trace_of(attention(1000, heads=30, width=2)))  # 4 MB a head, 96 MB fit
    assert run_node(script, message) == {"kept": True, "dropped": True, "wrong": 0}


def test_every_step_of_one_weight() -> None:
    layer = attention(mask=Mask(causal=True), temperature=0.5, alibi=alibi_slopes(3))
    script = """
    const model = unpack.unpack(message);
    give([[4, 2], [2, 4]].map(([i, j]) => {
      const parts = maths.products(model, 0, 1, i, j);
      return {...maths.explain(model, 0, 1, i, j), products: [...parts]};
    }));
    """
    seen, unseen = run_node(script, pack(trace_of(layer)))
    products = layer.q[0, 1, 4] * layer.k[0, 1, 2]
    assert seen["products"] == pytest.approx(products.tolist(), abs=1e-6)
    assert seen["sum"] == pytest.approx(float(products.sum()), abs=1e-5)
    assert seen["scale"] == pytest.approx(8**-0.5)
    assert seen["bias"] == pytest.approx(-2 * float(alibi_slopes(3)[1]))
    assert seen["score"] == pytest.approx(float(layer.scores[0, 1, 4, 2]), abs=1e-5)
    assert seen["logit"] == pytest.approx(seen["score"] / 0.5)
    assert seen["weight"] == pytest.approx(float(layer.weights[0, 1, 4, 2]), abs=1e-6)
    assert (seen["allowed"], unseen["allowed"], unseen["weight"]) == (True, False, 0)


LABELS = ["[CLS]", "un", "believ", "able", "cats", "##s", "?", "[SEP]"]
WORDS = [None, 0, 0, 0, 1, 1, 2, None]
SPECIAL = [True, False, False, False, False, False, False, True]


def folded(a: np.ndarray, rows: list[list[int]], columns: list[list[int]], renormalise: bool) -> np.ndarray:
    """Keys add, queries average, written as two matrix products."""
    add = np.array([[float(j in group) for group in columns] for j in range(a.shape[1])])
    mean = np.array([[float(i in group) / len(group) for i in range(a.shape[0])] for group in rows])
    out = mean @ a @ add
    return out / out.sum(1, keepdims=True) if renormalise else out


@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize(
    ("join", "hide", "groups"),
    [
        (False, False, [[0], [1], [2], [3], [4], [5], [6], [7]]),
        (True, False, [[0], [1, 2, 3], [4, 5], [6], [7]]),
        (False, True, [[1], [2], [3], [4], [5], [6]]),
        (True, True, [[1, 2, 3], [4, 5], [6]]),
    ],
)
def test_folding(join: bool, hide: bool, groups: list[list[int]], renormalise: bool) -> None:
    layer = attention(8)
    trace = trace_of(layer, encodings=(encoding_of(LABELS, WORDS, SPECIAL),))
    script = """
    const model = unpack.unpack(message), items = maths.items(model, inputs);
    const a = maths.weights(model, 0, 2), b = maths.fold(model, a, items, inputs);
    giveFloats([...b, ...items.queries.of, items.keys === items.queries ? 1 : 0]);
    """
    found = run_node(script, pack(trace), {"join": join, "hide": hide, "renormalise": renormalise})
    expected = folded(layer.weights[0, 2].double().numpy(), groups, groups, renormalise and hide)
    n = len(groups)
    assert apart(found[: n * n].reshape(n, n), expected) <= 1e-6
    where = {token: i for i, group in enumerate(groups) for token in group}
    assert found[n * n : -1].tolist() == [where.get(i, -1) for i in range(8)]
    assert found[-1] == 1


def test_folding_two_texts() -> None:
    source = trace_of(attention(8), encodings=(encoding_of(LABELS, WORDS, SPECIAL),))
    target = encoding_of(["in", "croyable", "chats"], [0, 0, 1])
    layer = attention(3, 8)
    trace = trace_of(layer, encodings=(target,), cross=True, source=source)
    script = """
    const model = unpack.unpack(message), items = maths.items(model, {join: true, hide: true});
    giveFloats(maths.fold(model, maths.weights(model, 0, 0), items));
    """
    found = run_node(script, pack(trace, stack="cross"))
    expected = folded(layer.weights[0, 0].numpy(), [[0, 1], [2]], [[1, 2, 3], [4, 5], [6]], False)
    assert apart(found.reshape(2, 3), expected) <= 1e-6


def test_items_are_labelled() -> None:
    trace = trace_of(attention(8), encodings=(encoding_of(LABELS, WORDS, SPECIAL),))
    script = """
    const model = unpack.unpack(message), labels = o => maths.items(model, o).queries.list.map(i => i.label);
    give([labels({}), labels({join: true}), maths.items(model).queries.list[2]]);
    """
    plain, joined, item = run_node(script, pack(trace))
    assert plain == ["[CLS]", "un", "·believ", "·able", "cats", "·##s", "?", "[SEP]"]
    assert joined == ["[CLS]", "unbelievable", "cats##s", "?", "[SEP]"]
    assert item == {"w": 0, "sp": False, "cont": True, "toks": [2], "label": "·believ", "full": "·believ"}


def test_tokens_without_a_word_stay_apart() -> None:
    trace = trace_of(attention(3), encodings=(encoding_of(["a", "b", "c"], [None, None, 0]),))
    assert run_node("give(maths.items(unpack.unpack(message), {join: true}).keys.list.length)", pack(trace)) == 3


def test_the_fast_logarithm_is_the_logarithm() -> None:
    script = """
    let worst = 0;
    for (let e = -148; e < 127; e++) for (let m = 1; m < 2; m += 1 / 997) {
      const x = Math.fround(m * 2 ** e);
      if (x > 0) worst = Math.max(worst, Math.abs(maths.log2Of(x) - Math.log2(x)));
    }
    give(worst);
    """
    assert run_node(script) < 1e-12


def test_entropy_and_argmax() -> None:
    rows = [[1, 0, 0, 0], [0.25] * 4, [0.5, 0.25, 0.125, 0.125], [0, 0, 0, 0], [0.1, 0.1, 0, 0]]
    script = """
    const rows = inputs.map(row => new Float32Array([9, ...row, 9])); // what the view holds
    give(rows.map(row => [maths.entropy(row, 1, 4), maths.argmax(row, 1, 4)]));
    """
    found = run_node(script, inputs=rows)
    expected = [[0, 0], [2, 0], [1.75, 0], [0, 0], [1, 0]]
    assert [at for _, at in found] == [at for _, at in expected]
    assert [bits for bits, _ in found] == pytest.approx([bits for bits, _ in expected], abs=1e-13)
    assert run_node("give([Number.isNaN(maths.entropy([NaN, 1], 0, 2)), maths.argmax([0, 3, 2], 0, 3)])") == [
        True,
        1,
    ]
    weights = attention(9).weights[0].double()
    bits = -(weights * weights.log2()).sum(-1).flatten()
    found = run_node("give(inputs.map(row => maths.entropy(row, 0, 9)))", inputs=weights.flatten(0, 1).tolist())
    assert found == pytest.approx(bits.tolist(), abs=1e-6)


def test_own_settings_give_the_run() -> None:
    layer = attention(temperature=0.2, scale=0.7, mask=Mask(causal=True))
    script = "const m = unpack.unpack(message); giveFloats(maths.weights(m, 0, 0, maths.ownSettings(m)))"
    assert apart(run_node(script, pack(trace_of(layer))), layer.weights[0, 0].flatten().numpy()) <= 1e-5


def test_two_messages_do_not_share_a_cache() -> None:
    one, two = (attention(seed=seed) for seed in (1, 2))
    script = """
    const model = unpack.unpack(message);
    giveFloats([...maths.weights(model, 0, 0), ...maths.weights(model.before, 0, 0)]);
    """
    found = run_node(script, pack(trace_of(one), before=trace_of(two)))
    expected = np.concatenate([layer.weights[0, 0].flatten().numpy() for layer in (one, two)])
    assert apart(found, expected) <= 1e-5


# ---- the bundle ----------------------------------------------------------------------------------

ENTRIES = [
    "attention/streamlit.js",
    "attention/standalone.js",
    "provenance/streamlit.js",
    *(f"widgets/{name}.js" for name in ("anatomy", "chart", "dial", "draw", "patches", "table", "writer")),
]

MODULES = {
    "a.js": 'import {b} from "./b.js";\nimport {c} from "./c.js";\nexport default function a() { b(c); }\n',
    "b.js": 'import {c} from "./c.js";\nexport function b() { return c; }\n',
    "c.js": "export const c = 1;\nconst exported = 2;\n",
}


def test_bundle_puts_modules_in_order() -> None:
    text = bundle(MODULES, "a.js")
    assert text.index("const c = 1") < text.index("function b") < text.index("export default function a")
    assert "import" not in text and text.count("const c = 1") == 1 and "const exported" in text


def test_bundle_tells_equal_names_in_different_folders_apart() -> None:
    modules = {
        "a/view.js": 'import {\n  b,\n} from "../b/view.js";\nimport { c } from "./c.js";\nb(c);\n',
        "b/view.js": 'import { c } from "../a/c.js";\nexport const b = c;\n',
        "a/c.js": "export const c = 1;\n",
    }
    text = bundle(modules, "a/view.js")
    assert text.index("const c = 1") < text.index("const b = c") < text.index("b(c)") and "import" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"c.js": 'import {a} from "./a.js";\nexport const c = 1;\n'},
            "circle of imports: a.js → b.js → c.js → a.js",
        ),
        ({"c.js": "export const c = 1;\nfunction b() {}\n"}, "'b' is defined in both c.js and b.js"),
        ({"b.js": 'import {x} from "./missing.js";\n'}, "b.js imports missing.js"),
        ({"c.js": 'import * as d from "./d.js";\nexport const c = 1;\n'}, "c.js: cannot bundle"),
        ({"c.js": "const c = 1;\nexport {c};\n"}, "c.js: cannot bundle"),
        ({"c.js": "export default 1;\n"}, "only the entry"),
    ],
)
def test_bundle_refuses(change: dict[str, str], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        bundle(MODULES | change, "a.js")


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_view_bundles(entry: str, tmp_path: Any) -> None:
    (tmp_path / "bundle.mjs").write_text(javascript(entry), "utf-8")
    done = subprocess.run(
        ["node", "--check", str(tmp_path / "bundle.mjs")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--seq" in css()


def test_the_view_asks_nothing_of_the_network() -> None:
    """No address, no HTML from text, no code from text in any of its files."""
    for path in FOLDER.rglob("*.*"):
        if path.suffix not in (".js", ".css"):
            continue
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        for word in (
            "http:",
            "https:",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "fetch(",
            "XMLHttpRequest",
            "sendBeacon",
            "@import",
            "importScripts",
        ):
            if (word, path.name) != ("fetch(", "model-files.js"):  # the live page's model, from where the page is
                assert word not in text, f"{path.name}: {word}"
