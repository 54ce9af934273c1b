"""The page on the encoder block: what the reader has set, the run that is shown, and its measures, by names only."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz.analysis import residual
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn.checks import check_index
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store
from attnviz.web.encoder_block import text
from attnviz.web.lesson import Lesson

DEPTHS = range(1, 13)
SEEDS = 10_000


@dataclass(frozen=True)
class Settings:
    """What the reader has set."""

    token: int = 10
    layer: int = 3
    norm: str = "attention"
    depth: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("token", "layer", "seed"):
            check_index(name, getattr(self, name))
        if self.norm not in text.SUBLAYERS or self.depth not in DEPTHS or self.seed >= SEEDS:
            raise InvalidParameterError(f"norm={self.norm!r}, depth={self.depth} or seed={self.seed} is out of range")


@dataclass(frozen=True, eq=False)
class Run:
    """One text through one model: what all parts of the page read."""

    inputs: shell.Inputs
    title: str  # of the model
    trace: Trace

    @property
    def labels(self) -> tuple[str, ...]:
        """The tokens as a person should read them."""
        return self.trace.encodings[0].labels

    @property
    def norm_first(self) -> bool:
        """Whether the model has its norms in the branches."""
        return self.trace.config.norm_first

    @property
    def feeds_forward(self) -> bool:
        """Whether its layers have a feed-forward network."""
        return self.trace.config.d_ff > 0

    def block(self, layer: int, norm_first: bool) -> residual.Block:
        """One layer, with its norms in the branches or in the stream."""
        return block(self.inputs.model, self.inputs.text, layer, norm_first)

    def branches(self) -> residual.Branches:
        """What attention and the feed-forward network add, in every layer."""
        return branches(self.inputs.model, self.inputs.text)


def run(lesson: Lesson[Settings]) -> Run:
    """The sidebar's text through its model; ends the page in a sentence where there is nothing to show."""
    inputs = lesson.inputs()
    model = cache.model(inputs.model)
    try:
        trace = cache.trace(inputs.model, inputs.text)
        layer = min(lesson.settings().layer, len(trace.layers) - 1)
        block(inputs.model, inputs.text, layer, bool(getattr(trace.config, "norm_first", False)))
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(text.another_model(str(error)))
    if not all(layer.resid_post.isfinite().all() for layer in trace.layers):
        shell.refuse(text.NOT_FINITE)
    return Run(inputs, model.info.title, trace)


def settle(lesson: Lesson[Settings], run: Run) -> None:
    """Brings token, layer and norm into what this text and this model have, before their widgets are drawn."""
    encoding = run.trace.encodings[0]
    lesson.fit(layer=len(run.trace.layers))
    lesson.follow_token("token", encoding.labels, encoding.special)
    if not run.feeds_forward and lesson.settings().norm != text.SUBLAYERS[0]:
        lesson.choose(norm=text.SUBLAYERS[0])


def place(lesson: Lesson[Settings]) -> tuple[int, int]:
    """The token and the layer that are shown, once they are settled."""
    settings = lesson.settings()
    return settings.token, settings.layer


@store.kept()
def block(model: str, text: str, layer: int, norm_first: bool) -> residual.Block:
    """`residual.block` of a text. Errors: as there, and as `cache.trace`."""
    return residual.block(cache.model(model).transformer, cache.trace(model, text), layer, norm_first=norm_first)


@store.kept()
def normed(model: str, text: str, layer: int, token: int, second: bool) -> residual.Normed:
    """`residual.normed` of a text. Errors: as there, and as `cache.trace`."""
    return residual.normed(cache.model(model).transformer, cache.trace(model, text), layer, token, second=second)


@store.kept()
def branches(model: str, text: str) -> residual.Branches:
    """`residual.branches` of a text. Errors: as there, and as `cache.trace`."""
    return residual.branches(cache.model(model).transformer, cache.trace(model, text))


@store.kept()
def drift(model: str, text: str) -> residual.Drift:
    """`residual.drift` of a text's stream. Errors: as `cache.trace`."""
    return residual.drift(residual.stream(cache.trace(model, text)))


@store.kept()
def depth_sizes(depth: int, seed: int) -> tuple[residual.Depth, residual.Depth]:
    """Sizes in an untrained stack: post-norm, pre-norm."""
    post, pre = (residual.depth_sizes(residual.untrained(depth, first, seed)) for first in (False, True))
    return post, pre
