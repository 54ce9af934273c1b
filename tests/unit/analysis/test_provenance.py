"""Step by step: every cell is the sum of its terms, down to weights and embeddings, in Python and in the browser."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import attnviz
from attnviz import Intervention
from attnviz.analysis.provenance.steps import layer_provenance
from attnviz.analysis.provenance.terms import Provenance
from attnviz.analysis.provenance.worked_example import (
    EMBEDDING,
    LARGEST,
    PLACES,
    WEIGHTS,
    by_hand,
    encoder_layer,
    number,
    read_edits,
)
from attnviz.browser.provenance_message import BLOCK, WHOLE, columns, pack
from attnviz.errors import InvalidParameterError
from attnviz.nn import reference
from attnviz.web.step_by_step.state import STEPS
from tests.support.examples import examples
from tests.support.hostile_texts import HOSTILE
from tests.support.node import run_node

TEXT = "The animal didn't cross the street because it was too tired."
# Learned positions, RoPE, ALiBi; post-norm and pre-norm; with and without a feed-forward network and a last norm.
MODELS = ("minilm", "austen", "induction", "tales", "scratch:tiny", "scratch:gpt", "scratch:bert", "scratch:test")
CHANGES = {
    "none": None,
    "causal": Intervention(mask="causal"),
    "window": Intervention(mask=("window", 2)),
    "blocked": Intervention(blocked=[(1, 0), (0, 1)]),
    "a row that may look at nothing": Intervention(blocked=[(2, key) for key in range(16)]),
    "alibi": Intervention(positions="alibi"),
    "sinusoidal": Intervention(positions="sinusoidal"),
    "hot and unscaled": Intervention(temperature=3.0, scaled=False),
    "a head switched off, one weakened": Intervention(head_scale={0: 0.0, 1: 0.5}),
    "rope": Intervention(positions="rope"),
}


@cache
def model(name: str) -> attnviz.Model:
    return attnviz.load(name)


@cache
def walked(name: str, layer: int, change: str) -> Provenance:
    run = model(name).run(TEXT, intervention=CHANGES[change])
    return layer_provenance(model(name).transformer, run, layer)


def check(one: Provenance, name: str, row: int, col: int) -> None:
    """The terms make the cell, and their factors are the numbers that stand where they say."""
    cell, terms = one[name].at(row, col), one.terms(name, row, col)
    if terms.kind == "given":
        assert terms.terms == ()
        return
    assert terms.total == cell or abs(terms.total - cell) <= terms.tolerance, (name, row, col, terms.total, cell)
    for term in terms.terms:
        for factor in term.factors:
            assert one[factor.cell[0]].at(*factor.cell[1:]) == factor.value or math.isnan(factor.value)


@settings(max_examples=examples(80), deadline=None)
@given(st.data())
def test_the_terms_of_any_cell_make_the_cell(data: Any) -> None:
    name = data.draw(st.sampled_from(MODELS))
    layer = data.draw(st.integers(0, model(name).info.n_layers - 1))
    one = walked(name, layer, data.draw(st.sampled_from(list(CHANGES))))
    matrix = one[data.draw(st.sampled_from(list(one.matrices)))]
    rows, cols = matrix.values.shape
    row, col = data.draw(st.integers(0, rows - 1)), matrix.first + data.draw(st.integers(0, cols - 1))
    check(one, matrix.name, row, col)


@pytest.mark.parametrize("name", ["hand", *MODELS])
def test_every_matrix_of_every_model_has_terms(name: str) -> None:
    one = by_hand() if name == "hand" else walked(name, 0, "none")
    for matrix in one.matrices.values():
        rows, cols = matrix.values.shape
        for row, col in {(0, 0), (rows - 1, cols - 1), (rows // 2, cols // 2)}:
            check(one, matrix.name, row, matrix.first + col)


ENDS = ("token", "position", "segment", "weight", "bias", "gamma", "beta", "mask", "alibi")


@pytest.mark.parametrize("name", ["hand", "minilm", "scratch:gpt", "austen", "induction"])
def test_every_path_ends_at_weights_and_embeddings(name: str) -> None:
    """From an output, always into the first factor, into the last, and into the largest."""
    one = by_hand() if name == "hand" else walked(name, 0, "none")
    for pick in (lambda fs: fs[0], lambda fs: fs[-1], lambda fs: max(fs, key=lambda f: abs(f.value))):
        cell, path = ("y", 1, 1), ["y"]
        while (terms := one.terms(*cell)).kind != "given":
            cell = pick([factor for term in terms.terms for factor in term.factors]).cell
            path.append(cell[0])
            assert len(path) < 20
        assert one[cell[0]].rule.note in ENDS


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("austen", "tales")])
@pytest.mark.parametrize("change", ["none", "causal", "alibi"])
def test_numpy_gets_the_same_from_x_to_out(name: str, change: str) -> None:
    one = walked(name, 1, change)
    block = (model(name).transformer.encoder or model(name).transformer.decoder)["layers"][1]
    weights = {key: array.numpy() for key, array in block.self_attn.state_dict().items()}
    masks = np.stack([one[f"mask.{head}"].values for head in range(one.n_heads)]).astype(np.float64)
    added = [one.matrices.get(f"bias.{head}") for head in range(one.n_heads)]
    biases = np.stack([np.zeros_like(masks[0]) if bias is None else bias.values for bias in added])
    out, shares = reference.multi_head_attention(
        one[one["Q"].rule.a].values,
        weights,
        one.n_heads,
        keep=np.isfinite(masks),
        bias=biases.astype(np.float64),
    )
    np.testing.assert_allclose(one["out"].values, out, atol=1e-5)
    for head in range(one.n_heads):
        np.testing.assert_allclose(one[f"weights.{head}"].values, shares[head], atol=1e-5)


def test_what_the_walk_shows_is_what_the_trace_holds() -> None:
    run = model("minilm").run(TEXT)
    one, attention = layer_provenance(model("minilm").transformer, run, 3), run.layers[3].attention
    assert torch.equal(torch.from_numpy(one["weights.1"].values), attention.weights[0, 1])
    assert torch.equal(torch.from_numpy(one["out"].values), attention.out[0])
    assert torch.equal(torch.from_numpy(one["Q"].values)[:, 32:64], attention.q[0, 1])
    assert one.labels == run.encodings[0].labels and one.width == 32


def test_padding_is_left_out() -> None:
    batch = model("minilm").run(["Birds sing at dawn, all of them.", "Birds sing."])
    alone = layer_provenance(model("minilm").transformer, model("minilm").run("Birds sing."), 0)
    one = layer_provenance(model("minilm").transformer, batch, 0, batch=1)
    assert one.labels == alone.labels
    np.testing.assert_allclose(one["out"].values, alone["out"].values, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"layer": 6}, "layer 6 of 6"), ({"layer": -1}, "layer -1"), ({"layer": 0, "batch": 1}, "holds 1 texts")],
)
def test_what_is_not_there_is_refused(options: dict[str, int], says: str) -> None:
    with pytest.raises(InvalidParameterError, match=says):
        layer_provenance(model("minilm").transformer, model("minilm").run("Birds sing."), **options)
    one = by_hand()
    for cell in (("nothing", 0, 0), ("x", 3, 0), ("x", 0, 4), ("z.1", 0, 0)):
        with pytest.raises(InvalidParameterError):
            one.terms(*cell)


# ---- the example by hand -------------------------------------------------------------------------


def test_the_example_as_worked_out_on_paper() -> None:
    one = by_hand()
    assert one["x"].values.tolist() == [[1, 0, 2, 0], [0, 1, 0, 1], [1, 0, -1, 2]]
    assert one["Q"].values.tolist() == [[0, 1, 0, 1], [2, 0, 1, 1], [0, 1, 2, 1]]
    assert one["K"].values.tolist() == [[2, 2, 0, 1], [0, 0, 1, 0], [2, -1, 2, 1]]
    assert one["V"].values.tolist() == [[2, 1, 0, 0], [0, 0, 1, 0.5], [-1, 1, 0, 1]]
    assert one["scores.0"].values.tolist() == [[2, 0, -1], [4, 0, 4], [2, 0, -1]]
    share = math.exp(4 / math.sqrt(2)) / (math.exp(4 / math.sqrt(2)) + 1)  # “chase” sees “cats” and itself
    assert one["weights.0"].at(1, 0) == pytest.approx(share, abs=1e-12)
    assert one["z.0"].at(1, 0) == pytest.approx(2 * share, abs=1e-12)
    assert one["out"].at(1, 0) == one["concat"].at(1, 0) == one["z.0"].at(1, 0)


EDITS = st.dictionaries(
    st.tuples(st.sampled_from(list(WEIGHTS)), st.integers(0, 3), st.integers(0, 3)),
    st.integers(-1000, 1000).map(str) | st.sampled_from(["1/2", "-1/3", "0.25", "-.5", "1e3", "1e-300"]),
    max_size=6,
)


@settings(max_examples=examples(60), deadline=None)
@given(EDITS, st.sampled_from(["own", "causal", "none"]))
def test_numpy_gets_the_same_for_any_edited_weights(edits: dict[tuple[str, int, int], str], mask: str) -> None:
    text = ",".join(f"{name}.{row}.{col}:{value}" for (name, row, col), value in edits.items())
    one = by_hand(text, mask)
    weights = {name: array.numpy() for name, array in encoder_layer(read_edits(text)).self_attn.state_dict().items()}
    for (name, row, col), value in edits.items():
        assert one[name].at(row, col) == number(value)
    x = np.array(EMBEDDING, dtype=float) + np.array(PLACES)
    out, shares = reference.multi_head_attention(x, weights, 2, keep=None if mask == "none" else reference.causal(3))
    np.testing.assert_allclose(one["out"].values, out, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one["weights.1"].values, shares[1], rtol=1e-9, atol=1e-12)
    assert all(np.isfinite(matrix.values).all() for name, matrix in one.matrices.items() if "mask" not in name)
    for name in ("Q", "scores.0", "weights.1", "z.0", "out"):
        check(one, name, 1, one[name].first)


TYPED = ["", "abc", "1e30", "nan", "inf", "-inf", "1/0", "1/2/3", "1_000", "--1", "0x10", "1001", "٣", "1e999999999"]
BAD = [*TYPED, *(text for text in HOSTILE if text != "+1")]


@pytest.mark.parametrize("typed", BAD)
def test_what_is_no_weight_is_refused_in_a_sentence(typed: str) -> None:
    with pytest.raises(InvalidParameterError, match=r"is not a number|is outside") as refused:
        number(typed)
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize("edits", ["W_Q.0.4:1", "W_X.0.0:1", "W_Q.0.0", "W_Q.0.0:", ":1", "W_Q.0.0:1;W_Q.0.1:1"])
def test_edits_of_what_is_not_there_are_refused(edits: str) -> None:
    with pytest.raises(InvalidParameterError):
        read_edits(edits)


# ---- in the browser ------------------------------------------------------------------------------


MADE = {"W_O": "out", "W_1": "h", "W_2": "f"}


def sample(one: Provenance, head: int, n: int) -> list[tuple[str, int, int]]:
    """Cells of the matrices that one head works with, of which the browser got what made them."""
    near = columns(one, [], 1) if one["x"].width > WHOLE else {}
    blocks = {name: first for weight, first in near.items() for name in (weight, MADE[weight])}
    rng, cells = np.random.default_rng(7), []
    for matrix in one.matrices.values():
        owner = matrix.name.partition(".")[2]
        if owner and int(owner) != head:
            continue
        narrow = matrix.axes[1] == "inner" and matrix.name != "concat"
        first, last = (head * one.width, (head + 1) * one.width) if narrow else (0, matrix.width)
        if matrix.name in blocks:
            first, last = blocks[matrix.name], min(blocks[matrix.name] + BLOCK, matrix.width)
        for _ in range(n):
            cells.append((matrix.name, int(rng.integers(len(matrix.values))), int(rng.integers(first, last))))
    return cells


HEADS = {"hand": 1, "minilm": 5, "austen": 2, "induction": 4, "tales": 1, "scratch:gpt": 3, "scratch:test": 0}


@pytest.mark.parametrize(("name", "head"), HEADS.items())
def test_the_browser_traces_as_python_does(name: str, head: int) -> None:
    one = by_hand("W_Q.0.0:1/3") if name == "hand" else walked(name, 0, "causal")
    cells = sample(one, head, 6)
    found = run_node(
        """const w = read.readProvenance(message);
        give(inputs.map((c) => (
            {value: read.cellValue(w, ...c), shown: read.shownCell(w, ...c), ...terms.termsOf(w, ...c)})));""",
        pack(one, head, near=columns(one, [], 1)),
        cells,
    )
    remote = one["concat"].width > WHOLE
    for cell, js in zip(cells, found, strict=True):
        py, value = one.terms(*cell), one[cell[0]].at(*cell[1:])
        assert float(js["value"]) == value, cell
        assert js["kind"] == py.kind and len(js["terms"]) == len(py.terms), cell
        if py.kind != "given":
            np.testing.assert_allclose(float(js["total"]), py.total, rtol=1e-9, atol=1e-12)
        for a, b in zip(js["terms"], py.terms, strict=True):
            assert [tuple(f["cell"]) for f in a["factors"]] == [f.cell for f in b.factors]
            for f, g in zip(a["factors"], b.factors, strict=True):
                assert float(f["value"]) == g.value, (cell, f, remote)
        plain = js["shown"].replace("−", "-").replace("∞", "inf")
        if "·" not in plain:
            decimals = len(plain.partition(".")[2])
            assert float(plain) == value or abs(float(plain) - value) <= 0.5001 * 10**-decimals, (cell, plain, value)


def test_small_numbers_get_the_decimals_they_need() -> None:
    cases = [[0, 0], [0.5, 2], [1234.5, 2], [0.0949, 3], [0.0123, 3], [0.00123, 4], [1e-9, 6]]
    assert run_node("give(inputs.map(([v]) => read.decimalsFor(v)));", inputs=cases) == [2, 2, 2, 3, 3, 4, 6]
    numbers = [[-0.001, 2], [-1.5, 2], [2, 0], [123456, 2], [-2.5e7, 2], [0.5, 1]]
    found = run_node("give(inputs.map(([v, d]) => format.compact(v, d)));", inputs=numbers)
    assert found == ["0.00", "−1.50", "2", "1.2·10⁵", "−2.5·10⁷", "0.5"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 40])
def test_what_is_left_out_is_around_what_is_looked_at(limit: int) -> None:
    cases = [[a, a + n, f] for a in (0, 32) for n in (1, 2, 7, 8, 40) for f in range(a, a + n, 3)]
    found = run_node("give(inputs[1].map(([a, b, f]) => grid.elided(a, b, inputs[0], f)));", inputs=[limit, cases])
    for (first, last, focus), shown in zip(cases, found, strict=True):
        there = [i for i in shown if i is not None]
        assert focus in there and there == sorted(set(there)) and set(there) <= set(range(first, last))
        assert len(there) <= max(limit, 3)
        gaps = [(shown[i - 1], shown[i + 1]) for i, one in enumerate(shown) if one is None]
        assert all(b - a > 1 for a, b in gaps)
        assert len(there) + sum(b - a - 1 for a, b in gaps) == last - first


def test_the_largest_terms_are_shown_and_the_others_added_up() -> None:
    values = np.random.default_rng(1).normal(size=384).tolist()
    found = run_node("give(terms.grouped(inputs.map((value, k) => ({value, k}))));", inputs=values)
    assert len(found["shown"]) == 8 and found["others"] == 376
    assert sum(t["value"] for t in found["shown"]) + found["rest"] == pytest.approx(sum(values), abs=1e-9)
    assert min(abs(t["value"]) for t in found["shown"]) == sorted(map(abs, values))[-8]


def test_the_browser_takes_the_weights_that_python_takes() -> None:
    typed = ["2", "-1", "−0.5", "1/3", "-1/2", "1 / 2", ".5", "5.", "1e3", "1e-3", "+4", " 7 ", *TYPED]
    found = run_node("give(inputs[0].map((t) => edit.readWeight(t, inputs[1])));", inputs=[typed, LARGEST])
    for text, js in zip(typed, found, strict=True):
        try:
            value = number(text)
        except InvalidParameterError as refused:
            assert js == {"error": str(refused)}, text
        else:
            assert js["value"] == value == number(js["text"]), text


def test_a_number_too_long_to_read_is_refused_with_the_numbers() -> None:
    (found,) = run_node("give([edit.readWeight(inputs, 100)]);", inputs="1." + "0" * 4_000)
    assert found == {"error": "What you typed has 4,002 characters; a number of at most 40 is read."}


def test_messages_of_wide_models_hold_one_head() -> None:
    one = walked("minilm", 0, "none")
    small, whole = len(pack(one, 0)), sum(matrix.values.nbytes for matrix in one.matrices.values())
    assert small < whole / 2 and small < 1_000_000
    found = run_node(
        """const w = read.readProvenance(message), far = ["z.7", 1, 230];
        give([w.whole, read.isRemote(w, "z.7"), read.cellValue(w, ...far), terms.termsOf(w, ...far).kind,
              inputs.map((c) => read.cellExists(w, c))]);""",
        pack(one, 3),
        [["z.7", 1, 230], ["z.12", 0, 0], ["z.7", 99, 0], ["Q", 0, 0], ["rubbish", 0, 0]],
    )
    assert found == [False, True, one["z.7"].at(1, 230), "remote", [True] + [False] * 4]
    with pytest.raises(InvalidParameterError, match="head 12 of 12"):
        pack(one, 12)


@pytest.mark.parametrize("name", ["hand", *MODELS])
def test_every_step_has_its_matrices_and_a_sentence(name: str) -> None:
    for layer in (0, 1):
        one = by_hand() if name == "hand" else walked(name, layer, "none")
        found = run_node(
            """const w = read.readProvenance(message);
            give(steps.stepsOf(w).map(({id}) => ({
              id, title: sentences.stepTitle(id), say: sentences.stepSentence(w, id, 1, {query: 1, key: 0}),
              shows: steps.stageOf(w, id, 1).filter((i) => i.name).map((i) => i.name),
              result: steps.resultOf(w, id, 1), back: steps.stepOf(w, steps.resultOf(w, id, 1)),
              all: steps.stageOf(w, id, 1).filter((i) => i.name).map((i) => steps.stepOf(w, i.name)),
            })));""",
            pack(one, 1),
        )
        ids = [step["id"] for step in found]
        assert set(ids) <= set(STEPS) and ids == sorted(ids, key=STEPS.index)
        for step in found:
            assert step["result"] in step["shows"] and set(step["shows"]) <= set(one.matrices)
            assert step["title"] and len(step["say"]) > 20
            assert "undefined" not in step["say"] and "NaN" not in step["say"]
            assert step["back"] == ("q" if step["id"] == "split" else step["id"])
            assert set(step["all"]) <= set(ids)
        shown = {shown for step in found for shown in step["shows"]}
        assert shown >= {name for name in one.matrices if "." not in name or name.endswith(".1")}


PRE = ["r", "n2", "h", "a", "f", "s"]
POST = ["r", "m", "h", "a", "f", "s", "y"]


@pytest.mark.parametrize(
    ("name", "first", "after"),
    [
        ("hand", [], POST),
        ("minilm", ["embnorm"], POST),
        ("scratch:tiny", [], POST),
        ("austen", ["n", "turn"], PRE),
        ("tales", ["n", "turn"], PRE),
        ("scratch:gpt", ["n"], PRE),
        ("induction", ["n"], ["r"]),
    ],
)
def test_the_steps_of_each_kind_of_layer(name: str, first: list[str], after: list[str]) -> None:
    one = by_hand() if name == "hand" else walked(name, 0, "none")
    ids = run_node("give(steps.stepsOf(read.readProvenance(message)).map((s) => s.id));", pack(one, 0))
    own = {"embnorm", "n", "turn"}
    assert [i for i in ids if i in own] == first and ids[ids.index("out") + 1 :] == after


@pytest.mark.parametrize("name", ["austen", "tales", "scratch:gpt"])
def test_the_last_layer_ends_with_the_last_norm(name: str) -> None:
    last = model(name).info.n_layers - 1
    one = walked(name, last, "none")
    run = model(name).run(TEXT)
    np.testing.assert_array_equal(one["final"].values, run.final[0].numpy())
    np.testing.assert_array_equal(one["y"].values, run.layers[last].resid_post[0].numpy())
    check(one, "final", 3, 7)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_layer_gets_is_what_the_one_before_gave(name: str) -> None:
    one, two = walked(name, 0, "none"), walked(name, 1, "none")
    np.testing.assert_array_equal(one["y"].values, two["x"].values)


@pytest.mark.parametrize(
    ("name", "source", "target"), [("dates", "5 May 2020", "2020-05"), ("scratch:base", "a b", "c")]
)
def test_both_stacks_of_an_encoder_decoder(name: str, source: str, target: str) -> None:
    run = model(name).run(source, target=target)
    assert run.source is not None
    for trace in (run, run.source):
        one = layer_provenance(model(name).transformer, trace, 0)
        assert ("c" in one.matrices) == (trace is run)
        np.testing.assert_array_equal(one["y"].values, trace.layers[0].resid_post[0].numpy())
        for matrix in one.matrices.values():
            rows, cols = matrix.values.shape
            check(one, matrix.name, rows - 1, matrix.first + cols // 2)


def test_an_image_and_a_model_of_other_layers() -> None:
    digits = model("digits")
    pixels = torch.zeros(1, digits.transformer.config.channels, *2 * (digits.transformer.config.image_size,))
    one = layer_provenance(digits.transformer, digits.transformer(pixels), 0)
    assert one["x"].rule.note == "patches"
    for matrix in one.matrices.values():
        check(one, matrix.name, 0, matrix.first)


@pytest.mark.parametrize(
    ("value", "single", "all_digits", "few"),
    [
        (0.1, False, "0.1", "0.1"),
        (float(np.float32(0.1)), True, "0.1", "0.1"),
        (float(np.float32(-0.014235244)), True, "−0.014235244", "−0.01424"),
        (27.45, False, "27.45", "27.45"),
        (-2.0, True, "−2", "−2"),
        (1e-12, True, "1·10⁻¹²", "1·10⁻¹²"),
        (1 / 3, False, "0.3333333333333333", "0.3333"),
        (12345.678, False, "12345.678", "12350"),
    ],
)
def test_all_digits_and_few(value: float, single: bool, all_digits: str, few: str) -> None:
    found = run_node("give([digits.exact(inputs[0], inputs[1]), digits.brief(inputs[0])]);", inputs=[value, single])
    assert found == [all_digits, few]


@pytest.mark.parametrize(("value", "single", "digits"), [(6.973504543, True, 7), (0.1, False, 1), (2 / 3, False, 15)])
def test_one_number_has_the_same_digits_stored_and_worked_out(value: float, single: bool, digits: int) -> None:
    stored = float(np.float32(value)) if single else value
    near = value * (1 + 1e-9) if single else value  # as a product of stored numbers, which has more digits
    exact, worked = run_node(
        "give([digits.exact(inputs[0], inputs[2]), digits.worked(inputs[1], inputs[2])]);",
        inputs=[stored, near, single],
    )
    assert len(worked.replace("0.", "").replace(".", "")) >= digits
    assert worked == exact or (not single and float(worked) == pytest.approx(value, rel=1e-15))


def test_all_digits_name_the_number_and_no_other() -> None:
    rng = np.random.default_rng(5)
    numbers = (rng.normal(size=400) * 10.0 ** rng.integers(-7, 7, size=400)).astype(np.float32)
    found = run_node("give(inputs.map((v) => digits.exact(v, true)));", inputs=numbers.astype(float).tolist())
    powers = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")
    for value, text in zip(numbers, found, strict=True):
        assert np.float32(text.replace("·10", "e").translate(powers)) == value, text


def test_the_browsers_gelu_is_torchs() -> None:
    x = torch.linspace(-9, 9, 721, dtype=torch.float64)
    for function, expected in (("gelu", F.gelu(x)), ("gelu_tanh", F.gelu(x, approximate="tanh")), ("relu", F.relu(x))):
        found = run_node("give(inputs[0].map((x) => terms.ACTIVATIONS[inputs[1]](x)));", inputs=[x.tolist(), function])
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-15)
