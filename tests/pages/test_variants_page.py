"""Variants and their cost through AppTest: what is on screen is what the library computes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import attnviz
from attnviz.analysis import cost, variants
from attnviz.analysis.cost import Step
from attnviz.analysis.linear_attention import linear
from attnviz.analysis.variants import Survey
from attnviz.figures.theme import plain
from attnviz.formatting import duration, memory_size, percent
from attnviz.web.jobs import slices
from attnviz.web.variants import text
from tests.pages.driver import SENTENCE, Page, charts, numbers, opened
from tests.support.hostile_texts import HOSTILE
from tests.support.models import loaded

MATRICES, ERRORS, SECONDS, BYTES, CACHE = range(5)


@pytest.fixture
def app() -> Page:
    """The page as a new visitor finds it."""
    return opened("variants")


def tiles(app: Page) -> list[np.ndarray]:
    """The matrices on screen, as shares of 1."""
    drawn = charts(app)[MATRICES]
    table = numbers(drawn["data"][0]["customdata"]) / 100
    corners = [(int(s["y0"] + 0.5), int(s["x0"] + 0.5), int(s["x1"] - s["x0"])) for s in drawn["layout"]["shapes"]]
    return [table[top : top + n, left : left + n] for top, left, n in corners]


def surveyed(layer: int, size: int, groups: int, model: str = "minilm", text: str = SENTENCE) -> Survey:
    a = loaded(model).run(text).layers[layer].attention
    q, k, v = a.q[0], a.k[0], a.v[0]
    return variants.survey(q, k, v, size=size, groups=groups, scale=a.scale, causal=a.mask.causal, alibi=a.alibi)


# The same head ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "head", "window", "groups"), [(3, 1, 2, 3), (0, 2, 2, 6), (4, 5, 0, 2), (5, 11, 32, 4)]
)
def test_matrices_errors_and_sentence_are_the_librarys(
    app: Page, layer: int, head: int, window: int, groups: int
) -> None:
    app.choose(layer=layer, head=head, size=window, groups=groups)
    assert not app.exception
    survey = surveyed(layer, window, groups)
    for drawn, one in zip(tiles(app), survey.by_kind.values(), strict=True):
        np.testing.assert_allclose(drawn, one.weights[head].numpy(), atol=1e-6)
    dots = {trace["y"][0]: trace for trace in charts(app)[ERRORS]["data"]}
    for kind, one in survey.by_kind.items():
        if kind != "full":
            shown = {int(i): off for i, off in numbers(dots[text.NAMES[kind]]["customdata"])}
            np.testing.assert_allclose([shown[i] for i in range(12)], 100 * one.error.numpy(), rtol=1e-5)
    off = {kind: error for kind, error in text.errors(survey, head).items() if kind not in survey.same}
    best = min(off, key=off.__getitem__)
    assert f"layer {layer}, head {head}. {text.NAMES[best].capitalize()} attention comes closest" in app.prose
    assert f"error {percent(off[best])}; " in app.prose
    assert f"every token: error {percent(survey.even[head].item())}." in app.prose
    titles = [note["text"] for note in charts(app)[MATRICES]["layout"]["annotations"]]
    assert titles[1] == f"<b>local</b><br>{plain(text.note(survey, 'local', head))}"


@pytest.mark.parametrize("name", [info.name for info in attnviz.catalogue()])
def test_full_attention_on_screen_is_the_models_own(name: str) -> None:
    """Whatever its positions are: ALiBi's bias belongs to it."""
    app = opened("variants", model=name, layer=1, head=1)
    if not charts(app):
        assert "ick another model" in app.sentence
        return
    weights = loaded(name).run(SENTENCE).layers[1].attention.weights[0, 1]
    np.testing.assert_allclose(tiles(app)[0], weights[: len(tiles(app)[0]), : len(tiles(app)[0])].numpy(), atol=1e-6)


@pytest.mark.parametrize(("model", "heads"), [("tales", 2), ("induction", 5)])
def test_as_many_key_heads_as_heads_is_full_attention_and_wins_nothing(model: str, heads: int) -> None:
    app = opened("variants", model=model)
    assert "Grouped-query is full attention here: there are as many key heads as heads." in app.prose
    assert "Grouped-query attention comes closest" not in app.prose
    assert app.session_state["variants.groups"] == heads
    titles = [note["text"] for note in charts(app)[MATRICES]["layout"]["annotations"]]
    assert titles[5] == "<b>grouped-query</b><br>full attention here"


def test_a_window_that_holds_the_whole_text_is_full_attention(app: Page) -> None:
    app.choose(size=15)
    assert "Local is full attention here: the window holds the whole text. Strided is full" in app.prose
    titles = [note["text"] for note in charts(app)[MATRICES]["layout"]["annotations"]]
    assert titles[1].endswith("full attention here") and titles[2].endswith("full attention here")


def test_layer_and_head_lead_to_the_next_page_and_back(app: Page) -> None:
    app.choose(layer=4, head=11)
    app.selectbox(key="model").select("tales").run()
    assert app.link["layer"] == "2" and "layer 2, head 1" in app.prose
    assert app.session_state["thread"].layer == 4 and app.session_state["thread"].head == 11


def test_a_second_thing_to_try_takes_the_first_one_back(app: Page) -> None:
    app.choose(size=7, context=1024, longest=1024)
    app.button(key="variants-try-1").click().run()
    assert app.link == {"layer": "4", "head": "5", "context": "1024", "longest": "1024"}
    app.button(key="variants-try-2").click().run()
    assert app.link["context"] == "131072" and app.link["head"] == "5"


def test_the_share_of_pairs_is_counted(app: Page) -> None:
    """16 tokens, 2 to each side: 16 · 5 − 2 · (1 + 2) = 74 of 256."""
    assert any(f"Local computes {percent(74 / 256)} of the pairs" in caption.value for caption in app.caption)


def test_a_head_that_lives_on_one_token_is_said_so(app: Page) -> None:
    app.choose(layer=4, head=5)
    taken = loaded("minilm").run(SENTENCE).layers[4].attention.weights[0, 5].mean(0)
    assert f"In full attention most goes to “[CLS]”: {percent(taken[0].item())}." in app.prose


@pytest.mark.parametrize("model", ["scratch:gpt", "scratch:tiny", "scratch:bert", "scratch:base"])
def test_other_models_causal_ones_too(model: str) -> None:
    app = opened("variants", model=model, layer="1", head="1")
    if charts(app):
        assert not app.exception
        survey = surveyed(1, 2, 2, model)
        np.testing.assert_allclose(tiles(app)[1], survey.by_kind["local"].weights[1].numpy(), atol=1e-6)
        if model == "scratch:gpt":
            assert all(not np.triu(tile, 1).any() for tile in tiles(app))
    else:  # one that needs two texts
        assert "reads two texts" in app.prose


def test_short_and_hostile_texts(app: Page) -> None:
    for typed in ("a", "⟨", *HOSTILE[::8]):
        app.text_area(key="text").set_value(typed).run()
        assert not app.exception, typed
        assert len(charts(app)) == 5 or not typed.strip(), typed


def test_a_text_longer_than_the_page_is_cut_in_words() -> None:
    app = opened("variants", text="word " * 300)
    assert not app.exception and tiles(app)[0].shape == (64, 64)
    assert any("first 64 tokens" in caption.value for caption in app.caption)


# The link -----------------------------------------------------------------------------------------------------


def test_a_link_restores_what_was_set(app: Page) -> None:
    app.choose(layer=0, head=2, size=5, groups=6, context=131_072)
    link = {k: v[-1] if isinstance(v, list) else v for k, v in app.query_params.items()}
    assert link == {"layer": "0", "head": "2", "size": "5", "groups": "6", "context": "131072"}
    again = opened("variants", **link)
    assert again.prose == app.prose
    for before, after in zip(tiles(app), tiles(again), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "query",
    [
        {"layer": "99", "head": "99"},
        {"layer": "-1", "size": "33"},
        {"groups": "0"},
        {"groups": "5"},
        {"context": "1000"},
        {"longest": "5"},
        {"size": "two", "head": "<b>"},
        {"guess": "twice as long"},
    ],
)
def test_what_a_link_cannot_ask_for_does_no_harm(query: dict[str, str]) -> None:
    app = opened("variants", **query)
    assert not app.exception and len(charts(app)) == 5


def test_things_to_try_set_the_page_up(app: Page) -> None:
    app.button(key="variants-try-0").click().run()
    assert "layer 0, head 2" in app.prose and not app.exception
    app.button(key="variants-try-1").click().run()
    assert "layer 4, head 5" in app.prose
    app.button(key="variants-try-2").click().run()
    assert "131,072 tokens" in app.prose
    app.selectbox(key="model").select("scratch:tiny").run()
    app.button(key="variants-try-0").click().run()
    assert app.selectbox(key="model").value == "minilm" and "layer 0, head 2" in app.prose


# Measuring ----------------------------------------------------------------------------------------------------


def steps(total: int = 4, took: tuple[float | None, ...] = (0.001, 0.0005, 0.0042, 0.0011)) -> list[Step]:
    kinds = ("full", "linear") * (total // 2)
    return [
        Step(kind, 1024 * 2 ** (i // 2), took[i], 3, None if took[i] is None else 1000 * (i + 1), i + 1, total)
        for i, kind in enumerate(kinds)
    ]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """cost.measure gives prepared steps, one per slice."""
    log: dict[str, Any] = {"asked": [], "closed": 0, "steps": steps()}

    def measure(**options: Any) -> Iterator[Step]:
        log["asked"].append(options)
        try:
            yield from log["steps"]
        finally:
            log["closed"] += 1

    monkeypatch.setattr(cost, "measure", measure)
    monkeypatch.setattr(slices, "SECONDS", 1e-9)
    return log


def test_there_is_something_measured_before_the_first_click(app: Page) -> None:
    assert app.button(key="variants-measure").label == "Measure on this machine"
    assert "At 512 tokens, for one head: full" in app.prose
    lines = {trace["name"]: trace for trace in charts(app)[SECONDS]["data"]}
    assert {"full", "full, fused", "local", "strided", "linear", "n", "n²"} == set(lines)
    assert numbers(lines["full"]["x"]).tolist() == [64, 128, 256, 512]


def test_measuring_goes_on_in_slices_and_shows_what_was_measured(app: Page, by_hand: dict[str, Any]) -> None:
    app.button(key="variants-measure").click().run()
    assert by_hand["asked"] == [{"lengths": list(cost.LENGTHS), "head_dim": 32, "causal": False}]
    seen = []
    for _ in range(10):
        if not slices_running(app):
            break
        (bar,) = app.get("progress")
        seen.append((bar.proto.value, bar.proto.text))
        app.run()
    assert (25, "full, 1,024 tokens") in seen and sorted(seen) == seen
    lines = {trace["name"]: trace for trace in charts(app)[SECONDS]["data"]}
    assert numbers(lines["full"]["y"]).tolist() == [0.001, 0.0042]
    assert numbers(lines["linear"]["y"]).tolist() == [0.0005, 0.0011]
    assert numbers({t["name"]: t for t in charts(app)[BYTES]["data"]}["full"]["y"]).tolist() == [1000, 3000]
    assert f"At 2,048 tokens, for one head: full {duration(0.0042)} and {memory_size(3000)}; linear" in app.prose
    assert app.button(key="variants-measure").label == "Measure again" and not app.get("progress")
    by_hand["steps"] = steps(took=(0.0009, 0.0004, 0.0039, 0.001))
    app.button(key="variants-measure").click().run()
    while slices_running(app):
        app.run()
    lines = {trace["name"]: trace for trace in charts(app)[SECONDS]["data"]}
    assert len(by_hand["asked"]) == 2 and numbers(lines["full"]["y"]).tolist() == [0.0009, 0.0039]
    assert not app.exception


def slices_running(app: Page) -> bool:
    return "cost:running" in app.session_state


def test_cancel_stops_between_two_steps_and_keeps_what_was_done(app: Page, by_hand: dict[str, Any]) -> None:
    app.button(key="variants-measure").click().run()
    app.button(key="variants-cancel").click().run()
    assert by_hand["closed"] == 1 and not slices_running(app) and not app.exception
    lines = {trace["name"]: trace for trace in charts(app)[SECONDS]["data"]}
    done = app.session_state["cost:steps"]
    assert 1 <= len(done) < 4 and numbers(lines["full"]["y"]).tolist() == [0.001]
    app.run()
    assert app.session_state["cost:steps"] == done


def test_other_controls_answer_while_it_measures(app: Page, by_hand: dict[str, Any]) -> None:
    app.button(key="variants-measure").click().run()
    app.choose(layer=0, head=2)
    assert "layer 0, head 2" in app.prose and not app.exception
    assert slices_running(app) and app.get("progress")


def test_how_far_to_measure_is_chosen(app: Page, by_hand: dict[str, Any]) -> None:
    app.choose(longest=1024)
    app.button(key="variants-measure").click().run()
    assert by_hand["asked"][0]["lengths"] == [64, 128, 256, 512, 1024]


def test_what_was_left_out_is_said(app: Page, by_hand: dict[str, Any]) -> None:
    by_hand["steps"] = steps(took=(0.9, 0.0005, None, 0.0011))
    app.button(key="variants-measure").click().run()
    while slices_running(app):
        app.run()
    assert any("Left out, as it would have taken too long: full at 2,048 tokens." in c.value for c in app.caption)
    lines = {trace["name"]: trace for trace in charts(app)[SECONDS]["data"]}
    assert numbers(lines["full"]["x"]).tolist() == [1024] and numbers(lines["linear"]["x"]).tolist() == [1024, 2048]


@pytest.mark.parametrize(("model", "pairs"), [("minilm", (1_000_000, 4_000_000)), ("austen", (500_500, 2_001_000))])
def test_what_twice_the_tokens_cost_is_counted_and_measured(model: str, pairs: tuple[int, int]) -> None:
    app = opened("variants", model=model, revealed=0)
    assert "At 512 tokens" not in app.prose and len(charts(app)) == 2
    app.guess("pairs", "twice as many")
    assert "it is “four times as many”" in app.prose
    assert f"1,000 tokens make {pairs[0]:,} pairs of query and key, and 2,000 tokens {pairs[1]:,}." in app.prose
    assert "From 256 to 512 tokens, full attention’s time went from" in app.prose and len(charts(app)) == 4


def test_the_verdict_stands_while_it_is_measured(app: Page, by_hand: dict[str, Any]) -> None:
    hidden = opened("variants", revealed=0)
    hidden.guess("pairs", "four times as many")
    hidden.button(key="variants-measure").click().run()
    while slices_running(hidden):
        hidden.run()
    assert "✓ Right. Twice as many tokens look" in hidden.prose
    times = f"{duration(0.001)} to {duration(0.0042)}: 4.2 times."
    assert f"From 1,024 to 2,048 tokens, full attention’s time went from {times}" in hidden.prose


# The cache ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [1024, 8192, 131_072])
def test_caches_are_the_formulas(app: Page, context: int) -> None:
    app.choose(context=context)
    _, hollow, filled = charts(app)[CACHE]["data"]
    own = dict(zip(filled["y"], numbers(filled["x"]).tolist(), strict=True))
    many = dict(zip(hollow["y"], numbers(hollow["x"]).tolist(), strict=True))
    for model in cost.MODELS:
        kept = min(context, model.window or context)
        assert own[model.name] == 2 * model.n_layers * model.n_kv_heads * model.head_dim * kept * 2
        assert many[model.name] == own[model.name] * model.n_heads // model.n_kv_heads
    assert f"At {context:,} tokens that is {memory_size(own['Llama-2-70B'])} for Llama-2-70B" in app.prose
    pale = dict(zip(filled["y"], filled["marker"]["opacity"], strict=True))
    assert all((pale[model.name] < 1) == (context > model.context) for model in cost.MODELS)


def test_a_larger_model_may_keep_less() -> None:
    app = opened("variants", revealed=0)
    assert "share 8 key heads" not in app.prose and "GiB" not in app.prose
    app.guess("cache", "ten times as large")
    assert "32 × 32 = 1,024" in app.prose and "80 × 8 = 640" in app.prose
    assert "it is “smaller”" in app.prose
    assert "So it keeps 2.5\u202fGiB, the 7B model 4\u202fGiB." in app.prose
    assert len(charts(app)) == 3


# Words --------------------------------------------------------------------------------------------------------


def test_every_layer_of_which_one_variant_suits_all_heads_is_named() -> None:
    q = k = v = torch.ones(2, 3, 4)
    survey = variants.survey(q, k, v, size=9, groups=1)  # the window holds everything: no way to save
    assert text.across_heads(survey, 7) == "Linear attention comes closest in every head of layer 7"
    assert (
        text.across_heads(surveyed(3, 2, 3), 3) == "What suits one head does not suit the next: the 12 heads of layer 3"
    )


def test_nothing_measured_yet_is_said() -> None:
    assert text.longest({}) == "Measuring: the shortest texts come first."
    assert text.doubled({}) == "" and text.share({}, "seconds") == "Time"
    uneven = {"full": [steps()[0], Step("full", 4096, 0.1, 1, 1, 1, 1)]}
    assert text.doubled(uneven) == ""  # 1,024 and 4,096 are no doubling


def test_the_code_shown_is_the_code_that_ran(app: Page) -> None:
    app.session_state["variants-code"] = True
    app.run()
    shown = [code.value for code in app.code]
    assert {inspect.getsource(one).rstrip() for one in (linear, variants.local, cost.cache_bytes)} <= set(shown)
