"""Vectors as places: PCA as scikit-learn has it, seeds, neighbours by hand."""

from __future__ import annotations

import math

import pytest
import torch

from attnviz import InvalidParameterError, Model, load
from attnviz.analysis import space


@pytest.fixture(scope="module")
def austen() -> Model:
    return load("austen")


def test_principal_components_by_hand() -> None:
    """Points on the line (3, 4)/5 at −10, 0 and 10, moved: all variance lies along it."""
    x = torch.tensor([[-6.0, -8.0], [0.0, 0.0], [6.0, 8.0]]) + 7
    found = space.placed(x)
    assert found.explained == pytest.approx((1, 0), abs=1e-12)
    assert found.places[:, 0].tolist() == pytest.approx([-10, 0, 10]) and found.places[:, 1].abs().max() < 1e-9
    one = space.placed(torch.ones(1, 5), dims=3)
    assert one.places.tolist() == [[0, 0, 0]] and one.explained == (0, 0, 0)
    assert space.placed(torch.rand(2, 5), dims=3).explained[1:] == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.nightly  # scikit-learn takes seconds to import
def test_principal_components_are_scikit_learns() -> None:
    from sklearn.decomposition import PCA

    x = torch.randn(30, 12, dtype=torch.float64)
    for dims in (2, 3):
        found, theirs = space.placed(x, dims=dims), PCA(dims)
        assert found.places.numpy() == pytest.approx(theirs.fit_transform(x.numpy()))
        assert found.explained == pytest.approx(theirs.explained_variance_ratio_)


@pytest.mark.nightly
def test_tsne_and_isomap_keep_two_groups_apart_and_seeds_repeat() -> None:
    x = torch.cat([torch.randn(12, 20), torch.randn(12, 20) + 12])
    ways: tuple[space.How, ...] = ("tsne", "neighbours")
    for how in ways:
        found = space.placed(x, how, seed=3)
        a, b = found.places[:12], found.places[12:]
        apart = float((a.mean(dim=0) - b.mean(dim=0)).norm())
        assert apart > 1.5 * max(float((one - one.mean(dim=0)).norm(dim=1).mean()) for one in (a, b)), how
        assert torch.equal(found.places, space.placed(x, how, seed=3).places) and found.explained == ()
        assert space.placed(x, how, 3).places.shape == (24, 3)
    assert not torch.equal(space.placed(x, "tsne", seed=3).places, space.placed(x, "tsne", seed=4).places)


def test_a_quarter_turn_shows_the_third_axis() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0]])
    (across, up), near = space.turned(x, 0)[0][0].tolist(), space.turned(x, 0)[1].tolist()
    assert (across, up) == (1, 2) and near == [3]
    seen, near_now = space.turned(x, 90)
    assert seen[0].tolist() == pytest.approx([3, 2]) and near_now.tolist() == pytest.approx([-1])


def test_nearest_by_cosine() -> None:
    x = torch.tensor([[1.0, 0.0], [5.0, 5.0], [0.0, 1.0], [-1.0, 0.0], [2.0, 0.0]])
    found = space.nearest(x, 0, 3)
    assert [i for i, _ in found] == [4, 1, 2]
    assert [c for _, c in found] == pytest.approx([1, math.sqrt(0.5), 0])
    assert len(space.nearest(x, 0, 99)) == 4
    with pytest.raises(InvalidParameterError, match="point 5 of 5"):
        space.nearest(x, 5)


def test_clouds_are_the_traces_vectors(austen: Model) -> None:
    trace = austen.run("It is a truth")
    n = trace.lengths[0]
    assert torch.equal(space.stream(trace, 1), trace.layers[1].resid_pre[0])
    assert torch.equal(space.stream(trace, 4), trace.layers[3].resid_post[0])
    both, record = space.queries_and_keys(trace, 2, 1), trace.layers[2].attention
    assert both.shape == (2 * n, 32)
    scores = both[:n] @ both[n:].T * record.scale
    assert torch.allclose(scores.tril(), record.scores[0, 1].tril(), atol=1e-5)
    for wrong in (lambda: space.stream(trace, 5), lambda: space.queries_and_keys(trace, 4, 0)):
        with pytest.raises(InvalidParameterError, match="of 4"):
            wrong()
    with pytest.raises(InvalidParameterError, match="head 4 of 4"):
        space.queries_and_keys(trace, 0, 4)


def test_a_sample_of_the_embedding_table(austen: Model) -> None:
    table = space.embedding_table(austen)
    assert table.shape == (2048, 128)
    drawn = space.sampled(austen, 100, seed=1, besides=(300, 301))
    assert len(set(drawn)) == 100 and drawn == space.sampled(austen, 100, seed=1, besides=(300, 301))
    assert drawn != space.sampled(austen, 100, seed=2)
    everything = space.sampled(austen, 10**6, besides=(300, 301))
    assert not {300, 301, *austen.tokenizer.special_ids.values()} & set(everything) and len(everything) > 2000
    with pytest.raises(InvalidParameterError, match="embedding table of Digits"):
        space.embedding_table(load("digits"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"how": "umap"}, "'umap' is not one of pca, tsne, neighbours"),
        ({"dims": 4}, "dims=4 is neither 2 nor 3"),
        ({"how": "tsne"}, "4 points: t-SNE takes at least 5"),
        ({"how": "neighbours"}, "4 points: Isomap takes at least 5"),
    ],
)
def test_what_cannot_be_placed_is_said(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        space.placed(torch.rand(4, 6), **arguments)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="points are"):
        space.placed(torch.rand(6))
