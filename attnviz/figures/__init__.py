"""Every plotly figure, one module per subject, and the theme they share: arrays in, go.Figure out.

A figure's title states its point in words above it, on the page; axes carry their units.
"""

from attnviz.figures.downstream import downstream_lines
from attnviz.figures.theme import DARK, LIGHT, Palette

__all__ = ["DARK", "LIGHT", "Palette", "downstream_lines"]
