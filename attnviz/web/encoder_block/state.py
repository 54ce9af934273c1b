"""What the page on the encoder block keeps between two looks: measures of one text, by names only."""

from __future__ import annotations

import streamlit as st

from attnviz.analysis import residual
from attnviz.web import cache


@st.cache_resource(max_entries=64, show_spinner=False)
def block(model: str, text: str, layer: int, norm_first: bool) -> residual.Block:
    """`residual.block` of a text. Errors: as there, and as `cache.trace`."""
    return residual.block(cache.model(model).transformer, cache.trace(model, text), layer, norm_first=norm_first)


@st.cache_resource(max_entries=64, show_spinner=False)
def normed(model: str, text: str, layer: int, token: int, second: bool) -> residual.Normed:
    """`residual.normed` of a text. Errors: as there, and as `cache.trace`."""
    return residual.normed(cache.model(model).transformer, cache.trace(model, text), layer, token, second=second)


@st.cache_resource(max_entries=16, show_spinner=False)
def branches(model: str, text: str) -> residual.Branches:
    """`residual.branches` of a text. Errors: as there, and as `cache.trace`."""
    return residual.branches(cache.model(model).transformer, cache.trace(model, text))


@st.cache_resource(max_entries=16, show_spinner=False)
def drift(model: str, text: str) -> residual.Drift:
    """`residual.drift` of a text's stream. Errors: as `cache.trace`."""
    return residual.drift(residual.stream(cache.trace(model, text)))


@st.cache_resource(max_entries=64, show_spinner=False)
def depth_sizes(depth: int, seed: int) -> tuple[residual.Depth, residual.Depth]:
    """Sizes in an untrained stack: post-norm, pre-norm."""
    post, pre = (residual.depth_sizes(residual.untrained(depth, first, seed)) for first in (False, True))
    return post, pre
