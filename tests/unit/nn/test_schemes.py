"""Every positional encoding in every place that has to know of it: ours, and three that nobody heard of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from attnviz import Intervention, InvalidParameterError, ModelConfig, Trace, Transformer
from attnviz.analysis import residual, word_order
from attnviz.analysis.provenance.steps import layer_provenance
from attnviz.browser import attention_message
from attnviz.models import export
from attnviz.models.anatomy import anatomy
from attnviz.nn import config as configs
from attnviz.nn import positions
from attnviz.nn.encoding import Encoding
from attnviz.nn.positions import Scheme
from attnviz.nn.trace import joined
from attnviz.web.models import formula
from attnviz.web.models import text as models_text
from attnviz.web.positions import text
from tests.support.parity import close

SAID = {
    "name": "A new one",
    "plural": "new ones",
    "label": "new",
    "title": "New",
    "paper": "Nobody 2030.",
    "formula": (),
}
NEW = (
    Scheme(
        key="log",
        acts="scores",
        bias=lambda n_heads, distance: -distance.abs().log1p() * torch.arange(1, n_heads + 1)[:, None, None],
        **SAID,
    ),
    Scheme(key="slow", acts="turn", rates=lambda width: positions.rates(width, 20.0), **SAID),
    Scheme(
        key="bits", acts="input", table=lambda n, c: (torch.arange(n)[:, None] >> torch.arange(c) & 1) * 2.0, **SAID
    ),
)
ALL = (*positions.SCHEMES, *(scheme.key for scheme in NEW))
ACTING = [key for key in ALL if key != "none"]
N, WORDS = 7, ("a", "b", "c", "d", "e", "f", "g")
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2]])


@pytest.fixture(autouse=True)
def new(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The description is all that is added."""
    for scheme in NEW:
        monkeypatch.setitem(positions._BY_KEY, scheme.key, scheme)
    monkeypatch.setattr(positions, "SCHEMES", ALL)
    monkeypatch.setitem(configs.CHOICES, "positions", ALL)
    yield


def made(key: str, **changes: object) -> Transformer:
    """A small model that was built with these positions; its weights are large enough for every term to count."""
    sizes = {"vocab_size": 12, "max_len": 16, "d_model": 8, "n_heads": 2, "d_ff": 12, "positions": key, "head": "lm"}
    model = Transformer(ModelConfig(**{"kind": "decoder"} | sizes | changes), torch.Generator().manual_seed(1))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.4 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return model.eval().requires_grad_(False)


def named(trace: Trace) -> Trace:
    flags = (False,) * N
    names = Encoding("abcdefg", tuple(IDS[0].tolist()), WORDS, WORDS, ((0, 0),) * N, (None,) * N, flags)
    return Trace(**{**vars(trace), "encodings": (names,)})


@pytest.mark.parametrize("key", ACTING)
def test_a_model_hears_of_it(key: str) -> None:
    """Order counts with it, and `Intervention` takes it away, or gives it to a model of another kind."""
    model = made(key, kind="encoder")
    whole, without = model(IDS), model(IDS, intervention=Intervention(positions="none"))
    assert (whole.final - without.final).abs().max() > 0.01
    drawn = [2, 0, 1, 3, 6, 5, 4]
    assert word_order.shuffle_test(model, IDS[0].tolist(), drawn, key).largest > 0.01
    assert word_order.shuffle_test(model, IDS[0].tolist(), drawn, "none").largest < 1e-5
    assert key in word_order.schemes_of(model.config)
    other = made("none", kind="encoder")
    if not model.config.scheme.learned:
        given = other(IDS, intervention=Intervention(positions=key))
        for name, x in model.state_dict().items():
            other.state_dict()[name].copy_(x)
        close(other(IDS, intervention=Intervention(positions=key)).final, whole.final)
        assert given.final.shape == whole.final.shape


@pytest.mark.parametrize("key", ALL)
def test_remembered_keys_stand_where_they_stood(key: str) -> None:
    model = made(key)
    runs = [model(IDS[:, :3])]
    for i in range(3, N):
        runs.append(model.step(IDS[:, i : i + 1], runs[-1]))
    whole, steps = model(IDS), joined(runs)
    close(steps.logits, whole.logits)
    for ours, theirs in zip(steps.attentions, whole.attentions, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("key", ALL)
def test_an_exported_graph_computes_with_it(key: str) -> None:
    model = made(key)
    hidden, logits = export._Graph(model)(IDS)
    close(hidden, model(IDS).final)
    close(logits, model(IDS).logits)


@pytest.mark.parametrize("key", ALL)
def test_a_layer_with_its_norms_moved_runs_with_it(key: str) -> None:
    model = made(key, norm_first=True)
    trace = model(IDS)
    moved = residual.block(model, trace, 1, norm_first=False)
    layer, scheme = model.decoder["layers"][1], model.config.scheme
    x = trace.layers[1].resid_pre
    run = layer.self_attn.trace_batch_first(x, mask=trace.layers[1].attention.mask, **scheme.in_attention(2, 4, x))
    close(torch.from_numpy(moved.attention), run.out[0].double(), 1e-6)
    if key != "none" and scheme.acts != "input":
        plain = layer.self_attn.trace_batch_first(x, mask=trace.layers[1].attention.mask)
        assert (plain.out - run.out).abs().max() > 1e-3


@pytest.mark.parametrize("key", ALL)
def test_every_number_is_traced_through_it(key: str) -> None:
    model = made(key)
    trace = named(model(IDS))
    for layer in (0, 1):
        provenance = layer_provenance(model, trace, layer)
        for name, matrix in provenance.matrices.items():
            for row, col in (
                (0, matrix.first),
                (min(5, len(matrix.values) - 1), matrix.first + matrix.values.shape[1] - 1),
            ):
                terms = provenance.terms(name, row, col)
                if terms.terms:
                    assert terms.total == pytest.approx(matrix.at(row, col), abs=10 * terms.tolerance), (name, row, col)
    acts = model.config.scheme.acts
    first = layer_provenance(model, trace, 0).matrices
    assert ("P" in first, "Qr" in first, "bias.0" in first) == (acts == "input", acts == "turn", acts == "scores")
    if acts == "turn":
        assert first["Qr"].rule.by == model.config.scheme.name
    if acts == "scores":
        assert first["bias.0"].rule.by == model.config.scheme.name


@pytest.mark.parametrize("key", ALL)
def test_the_browser_gets_what_changes_scores(key: str) -> None:
    """Queries and keys are sent as they were turned; a bias goes beside them, also where one layer is drawn."""
    trace = named(made(key)(IDS))
    changes = made(key).config.scheme.acts == "scores"
    for attention in attention_message.attentions(attention_message.one_layer(trace, 1), "self"):
        assert (attention.bias is not None or attention.alibi is not None) == changes
        assert attention.scores.shape[1:] == (attention.q.shape[1], N, N)
    assert len(attention_message.pack(trace)) > 0


@pytest.mark.parametrize("key", ALL)
def test_pictures_show_what_the_model_runs_with(key: str) -> None:
    """Scores of copies are the trace's own; an encoding is what differs between the runs of two models."""
    model = made(key, kind="encoder", norm_first=True)
    copies = torch.full((1, 9), 5)
    scores = model(copies).layers[0].attention.scores[0]
    close(word_order.scores_of_copies(model, 5, key, 9), scores, 1e-5)
    by_distance = word_order.scores_by_distance(model, 5, key, 8)
    close(by_distance, scores[:, 1:, 1], 1e-5)
    table = word_order.positional_encoding(model, key, 9)
    acts = model.config.scheme.acts
    if acts == "scores":
        free = model(copies, intervention=Intervention(positions="none")).layers[0].attention.scores[0]
        close(table, (scores - free)[:, :, 0].T, 1e-5)
    if acts == "input":
        bare = model(copies, intervention=Intervention(positions="none")).layers[0].resid_pre[0]
        close(table, model(copies).layers[0].resid_pre[0] - bare, 1e-5)
    if acts == "turn":
        close(table.norm(dim=1), torch.full((9,), 2**0.5, dtype=torch.float64))


@pytest.mark.parametrize("key", ALL)
def test_words_and_drawings_know_it(key: str) -> None:
    model = made(key)
    told, table = model.config.scheme, word_order.positional_encoding(model, key, 9)
    said = [text.encoding(key, table), text.wave_title(key, 0, table), text.line_name(key, 0)]
    spread = word_order.by_offset(word_order.similarity(table)[1])
    said += [text.offsets(key, spread, spread, 0), formula.source(model.config)]
    assert all(said) and told.paper in said[-1]
    parts = [part.title for block in anatomy(model).columns[0].blocks for part in block.parts]
    added = [title for title in parts if title.startswith("Positions, added")]
    assert len(added) == (told.acts == "input")
    assert anatomy(model).n == model.config.n_parameters
    if told not in NEW:
        assert all(title in models_text.DOES for title in added)
        assert (text.NAMES[key], text.WITH[key], text.ENCODING_TITLES[key]) == (told.name, told.plural, told.title)


def test_a_description_that_lacks_its_part_is_refused_at_once() -> None:
    for acts in ("input", "turn", "scores"):
        with pytest.raises(InvalidParameterError, match=f"'half' does not say what it does to '{acts}'"):
            Scheme(key="half", acts=acts, **SAID)


@pytest.mark.parametrize("key", [["rope"], 1, "", "clock"])
def test_what_is_no_scheme_is_refused(key: object) -> None:
    with pytest.raises(InvalidParameterError, match="is not one of none, sinusoidal"):
        positions.described(key)  # type: ignore[arg-type]
