"""Every plotly figure, one module per subject, and the theme they share: arrays in, go.Figure out.

Begin with `theme.assembled` and `palette`. The title, which the page writes above a figure, states the point; axes
carry their units.
"""

from typing import TYPE_CHECKING

from attnviz import on_demand

if TYPE_CHECKING:
    from attnviz.figures.block import block_diagram
    from attnviz.figures.comparison import difference_map
    from attnviz.figures.cost import cache_dots, cost_lines, error_dots
    from attnviz.figures.downstream import downstream_lines
    from attnviz.figures.encoder import (
        activation_curves,
        branch_bars,
        depth_lines,
        drift_paths,
        norm_rows,
    )
    from attnviz.figures.evidence import measure_columns
    from attnviz.figures.heads import head_scatter, role_map
    from attnviz.figures.implied_matrices import implied_matrices
    from attnviz.figures.masks import token_bars, token_bars_height
    from attnviz.figures.palette import DARK, LIGHT, Palette
    from attnviz.figures.positions import (
        distance_rows,
        encoding_heatmap,
        moved_bars,
        moved_bars_height,
        offset_band,
        similarity_heatmap,
        wave_lines,
    )
    from attnviz.figures.programs import score_table
    from attnviz.figures.sinks import head_shares, paired_bars
    from attnviz.figures.softmax import (
        carried_lines,
        temperature_curves,
        token_dots,
        weight_bars,
    )
    from attnviz.figures.space import dots
    from attnviz.figures.training import Curve, Panel, head_tiles, training_curves
    from attnviz.figures.variance import saturation_lines, variance_lines
    from attnviz.figures.what_if import agreement_dots, effect_map
else:
    _HOMES = {
        "Curve": "training",
        "DARK": "palette",
        "LIGHT": "palette",
        "Palette": "palette",
        "Panel": "training",
        "activation_curves": "encoder",
        "agreement_dots": "what_if",
        "block_diagram": "block",
        "branch_bars": "encoder",
        "cache_dots": "cost",
        "carried_lines": "softmax",
        "cost_lines": "cost",
        "depth_lines": "encoder",
        "difference_map": "comparison",
        "distance_rows": "positions",
        "dots": "space",
        "downstream_lines": "downstream",
        "drift_paths": "encoder",
        "effect_map": "what_if",
        "encoding_heatmap": "positions",
        "error_dots": "cost",
        "head_scatter": "heads",
        "head_shares": "sinks",
        "head_tiles": "training",
        "implied_matrices": "implied_matrices",
        "measure_columns": "evidence",
        "moved_bars": "positions",
        "moved_bars_height": "positions",
        "norm_rows": "encoder",
        "offset_band": "positions",
        "paired_bars": "sinks",
        "role_map": "heads",
        "saturation_lines": "variance",
        "score_table": "programs",
        "similarity_heatmap": "positions",
        "temperature_curves": "softmax",
        "token_bars": "masks",
        "token_bars_height": "masks",
        "token_dots": "softmax",
        "training_curves": "training",
        "variance_lines": "variance",
        "wave_lines": "positions",
        "weight_bars": "softmax",
    }
    __getattr__, __dir__ = on_demand(__name__, __path__, _HOMES)

__all__ = [
    "DARK",
    "LIGHT",
    "Curve",
    "Palette",
    "Panel",
    "activation_curves",
    "agreement_dots",
    "block_diagram",
    "branch_bars",
    "cache_dots",
    "carried_lines",
    "cost_lines",
    "depth_lines",
    "difference_map",
    "distance_rows",
    "dots",
    "downstream_lines",
    "drift_paths",
    "effect_map",
    "encoding_heatmap",
    "error_dots",
    "head_scatter",
    "head_shares",
    "head_tiles",
    "implied_matrices",
    "measure_columns",
    "moved_bars",
    "moved_bars_height",
    "norm_rows",
    "offset_band",
    "paired_bars",
    "role_map",
    "saturation_lines",
    "score_table",
    "similarity_heatmap",
    "temperature_curves",
    "token_bars",
    "token_bars_height",
    "token_dots",
    "training_curves",
    "variance_lines",
    "wave_lines",
    "weight_bars",
]
