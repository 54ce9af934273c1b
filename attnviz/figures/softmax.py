"""Softmax under a temperature, and why attention divides by √d_k."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.figures.theme import Palette, end_labels, plain, styled

if TYPE_CHECKING:
    import plotly.graph_objects as go

TAU_TICKS = (0.05, 0.2, 1, 5, 20)
PRODUCT, SCALED = "q·k", "q·k / √dₖ"
TINY = 1e-300  # stands for 0 on a logarithmic axis
_LONGEST = 14  # characters of a token beside its bar


def weight_bars(
    labels: Sequence[str], before: Sequence[float], after: Sequence[float], texts: Sequence[str], palette: Palette
) -> go.Figure:
    """One attention row before (pale) and after (blue) a change, a bar per token: weights from 0 to 1.

    `texts` are written at the end of the bars.
    """
    import plotly.graph_objects as go

    rows = list(range(len(labels)))
    names = [plain(label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…") for label in labels]
    figure = go.Figure()
    for name, values, colour, width in (
        ("τ = 1", before, palette.sequential[2], 0.86),
        ("now", after, palette.positive, 0.5),
    ):
        figure.add_bar(
            x=[100 * value for value in values], y=rows, orientation="h", name=name, width=width,
            marker={"color": colour}, customdata=names,
            hovertemplate="%{customdata}, %{fullData.name}: %{x:.1f}\u202f%<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=[100 * max(pair) for pair in zip(before, after, strict=True)], y=rows, mode="text",
        text=[f"\u2002{text}" for text in texts], textposition="middle right", hoverinfo="skip", cliponaxis=False,
        textfont={"size": 13, "color": palette.ink1},
    )  # fmt: skip
    styled(figure, palette, height=54 + 24 * len(rows))
    figure.update_layout(barmode="overlay", margin={"t": 12})
    figure.update_yaxes(
        tickvals=rows, ticktext=names, range=[len(rows) - 0.4, -0.6], showgrid=False, fixedrange=True,
        ticklabelstandoff=6, tickfont={"size": 14, "color": palette.ink1},
    )  # fmt: skip
    figure.update_xaxes(
        range=[0, 115], tickvals=[0, 50, 100], ticktext=["0", "50\u202f%", "100\u202f%"],
        title_text="of its attention", showgrid=True, gridcolor=palette.line, fixedrange=True,
    )  # fmt: skip
    return figure


def temperature_curves(
    temperatures: Sequence[float],
    tokens: Sequence[float],
    tops: Sequence[float],
    now: tuple[float, float, float],
    ends: tuple[tuple[float, float], tuple[float, float]],
    palette: Palette,
) -> go.Figure:
    """How many tokens a row spreads over, and its top weight (0 to 1), against the temperature on a log axis.

    Arguments
        now: (τ, tokens, top weight), drawn in ink.
        ends: (tokens, top weight) for τ → 0 and for τ → ∞.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    below = {"xaxis": "x", "yaxis": "y2"}
    for values, point, axes, unit in (
        (list(tokens), now[1], {}, ":.2f} tokens"),
        ([100 * top for top in tops], 100 * now[2], below, ":.1f}\u202f%"),
    ):
        figure.add_scatter(
            x=list(temperatures), y=values, mode="lines", line={"color": palette.positive, "width": 2.25},
            hovertemplate="τ = %{x}: %{y" + unit + "<extra></extra>", **axes,
        )  # fmt: skip
        figure.add_scatter(
            x=[now[0]], y=[point], mode="markers", hoverinfo="skip",
            marker={"color": palette.ink, "size": 11, "line": {"color": palette.paper, "width": 2}}, **axes,
        )  # fmt: skip
    styled(figure, palette, height=400)
    (one, top), (many, even) = ends
    side = figure.layout.yaxis.to_plotly_json()
    figure.update_layout(
        yaxis={"domain": [0.55, 1], "range": [0, 1.12 * many], "nticks": 5},
        yaxis2={
            **side, "domain": [0, 0.45], "range": [0, 112], "anchor": "x", "tickvals": [0, 50, 100],
            "ticktext": ["0\u202f%", "50\u202f%", "100\u202f%"],
        },
        yaxis_title_text="spreads over, tokens", yaxis2_title_text="top weight", margin={"t": 14, "r": 92},
    )  # fmt: skip
    figure.update_xaxes(
        type="log", tickvals=TAU_TICKS, ticktext=[f"{tau:g}" for tau in TAU_TICKS], title_text="temperature τ",
        range=[-1.36, 1.36], anchor="y2", fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(fixedrange=True)
    for axis, cold, hot, unit in (("y", one, many, ""), ("y2", 100 * top, 100 * even, "\u202f%")):
        for value, name in ((cold, "τ → 0"), (hot, "τ → ∞")) if cold != hot else ((cold, "every τ"),):
            figure.add_shape(
                type="line", xref="paper", x0=0, x1=1, yref=axis, y0=value, y1=value,
                line={"color": palette.ink2, "width": 1, "dash": "dot"},
            )  # fmt: skip
            figure.add_annotation(
                xref="paper", x=1, xanchor="left", xshift=6, yref=axis, y=value, showarrow=False,
                text=f"{name}: {value:.3g}{unit}", font={"size": 13, "color": palette.ink2},
            )  # fmt: skip
    for tau, colour, dash in ((1.0, palette.ink2, "dot"), (now[0], palette.ink, "solid")):
        figure.add_shape(
            type="line", x0=tau, x1=tau, yref="paper", y0=0, y1=1, layer="below",
            line={"color": colour, "width": 1, "dash": dash},
        )  # fmt: skip
    return figure


def token_dots(
    labels: Sequence[str],
    plain_run: Sequence[float],
    inside: Sequence[float],
    outside: Sequence[float],
    palette: Palette,
) -> go.Figure:
    """The probability of each next token at τ = 1, with τ in attention and with τ on the output, on a log axis."""
    import plotly.graph_objects as go

    names = [plain(label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…") for label in labels]
    rows = list(range(len(labels)))
    figure = go.Figure()
    for name, values, marker in (
        ("τ = 1", plain_run, {"color": palette.ink2, "symbol": "line-ns-open", "size": 17, "line": {"width": 2}}),
        ("τ in attention", inside, {"color": palette.positive, "size": 11}),
        ("τ on the output", outside, {"color": palette.query, "symbol": "diamond", "size": 11}),
    ):
        figure.add_scatter(
            x=[100 * value for value in values], y=rows, mode="markers", name=name, marker=marker, customdata=names,
            hovertemplate="%{customdata}, %{fullData.name}: %{x:.3g}\u202f%<extra></extra>",
        )  # fmt: skip
    styled(figure, palette, height=84 + 26 * len(rows))
    figure.update_yaxes(
        tickvals=rows, ticktext=names, range=[len(rows) - 0.4, -0.6], fixedrange=True,
        ticklabelstandoff=6, tickfont={"size": 14, "color": palette.ink1},
    )  # fmt: skip
    every = [100 * value for value in (*plain_run, *inside, *outside) if value > 0]
    ticks = _decades(min(every), max(every))
    figure.update_xaxes(
        type="log", title_text="probability of the token", fixedrange=True, tickvals=ticks,
        range=[math.log10(min(every)) - 0.15, math.log10(max(every)) + 0.15],
        ticktext=[f"{_decimal(tick)}\u202f%" for tick in ticks], showgrid=True, gridcolor=palette.line,
    )  # fmt: skip
    figure.update_layout(
        showlegend=True, margin={"t": 34},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": {"size": 14, "color": palette.ink1}},
    )  # fmt: skip
    return figure


def carried_lines(moved: Sequence[float], palette: Palette) -> go.Figure:
    """How far the vectors have moved after each layer, 0 to 1 of their length, beside sampling, which moves none."""
    import plotly.graph_objects as go

    layers = list(range(len(moved)))
    figure = go.Figure()
    for values, name, colour, dash in (
        ([100 * value for value in moved], "τ in attention", palette.positive, "solid"),
        ([0.0] * len(moved), "τ on the output", palette.query, "dot"),
    ):
        figure.add_scatter(
            x=layers, y=values, mode="lines+markers", name=name,
            line={"color": colour, "width": 2.25, "dash": dash},
            hovertemplate="%{fullData.name}<br>layer %{x}: %{y:.1f}\u202f%<extra></extra>",
        )  # fmt: skip
    styled(figure, palette, height=260)
    top = max(1.0, 100 * max(moved))
    ends = [(100 * moved[-1], "τ in attention", palette.positive), (0.0, "τ on the output", palette.query)]
    end_labels(figure, layers[-1], ends, top)
    figure.update_xaxes(title_text="layer", dtick=1, fixedrange=True, range=[-0.3, len(moved) - 0.7])
    figure.update_yaxes(
        title_text="moved, of its length", ticksuffix="\u202f%", range=[-0.08 * top, 1.08 * top], fixedrange=True
    )
    return figure


def variance_lines(
    widths: Sequence[int],
    products: Sequence[tuple[float, float, float]],
    scaled: Sequence[tuple[float, float, float]],
    heads: tuple[int, Sequence[float], Sequence[str]],
    palette: Palette,
) -> go.Figure:
    """The variance of q·k and of q·k/√d_k against d_k, log–log, on the theory's lines d_k and 1.

    Arguments
        products, scaled: (measured, low, high) at each width.
        heads: a real model's d_k, the variance of every head's q·k, and their names.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for theory in ([float(width) for width in widths], [1.0] * len(widths)):
        figure.add_scatter(
            x=list(widths), y=theory, mode="lines", hoverinfo="skip",
            line={"color": palette.ink2, "width": 1, "dash": "dot"},
        )  # fmt: skip
    for measured, name, colour in ((products, PRODUCT, palette.positive), (scaled, SCALED, palette.query)):
        figure.add_scatter(
            x=list(widths), y=[value for value, _, _ in measured], mode="markers", name=name,
            marker={"color": colour, "size": 9},
            error_y={
                "type": "data", "symmetric": False, "color": colour, "thickness": 1.5, "width": 4,
                "array": [high - value for value, _, high in measured],
                "arrayminus": [value - low for value, low, _ in measured],
            },
            hovertemplate="d = %{x}: variance of %{fullData.name} %{y:.3g}<extra></extra>",
        )  # fmt: skip
    ends = [(products[-1][0], PRODUCT, palette.positive), (scaled[-1][0], SCALED, palette.query)]
    every = [value for row in (*products, *scaled) for value in row]
    every += [variance for variance in heads[1] if variance > 0]
    _heads(figure, *heads, palette)
    styled(figure, palette, height=420)
    _width_axis(figure, widths)
    _log_axis(figure, min(every), max(every), "variance")
    _name_ends(figure, widths[-1], ends)
    figure.update_layout(margin={"t": 14})
    return figure


def saturation_lines(
    widths: Sequence[int], without: Sequence[float], factor: Sequence[float], unit: str, palette: Palette
) -> go.Figure:
    """A measure of softmax rows against d_k, without and with the factor 1/√d_k.

    `unit` "%" is a share (0 to 1) on a linear axis; any other is the title of a logarithmic one.
    """
    import plotly.graph_objects as go

    share = unit == "%"
    figure = go.Figure()
    ends = []
    for values, name, colour in ((without, PRODUCT, palette.positive), (factor, SCALED, palette.query)):
        shown = [100 * value if share else value for value in values]
        figure.add_scatter(
            x=list(widths), y=shown, mode="lines+markers", name=name, line={"color": colour, "width": 2.25},
            hovertemplate="d = %{x}, softmax of %{fullData.name}: %{y:.3g}" + "\u202f%" * share + "<extra></extra>",
        )  # fmt: skip
        ends.append((shown[-1], name, colour))
    styled(figure, palette, height=300)
    _width_axis(figure, widths)
    if share:
        figure.update_yaxes(
            range=[0, 108],
            tickvals=[0, 50, 100],
            ticktext=["0\u202f%", "50\u202f%", "100\u202f%"],
            fixedrange=True,
            title_text="mean top weight",
        )
    else:
        _log_axis(figure, min(*without, *factor), max(*without, *factor), unit)
    _name_ends(figure, widths[-1], ends)
    figure.update_layout(margin={"t": 14})
    return figure


def _heads(figure: go.Figure, width: int, variances: Sequence[float], names: Sequence[str], palette: Palette) -> None:
    """A real model's heads as rings at their width, the lowest and the highest with their names."""
    real = [(variance, name) for variance, name in zip(variances, names, strict=True) if variance > 0]
    if not real:
        return
    lowest, highest = min(real), max(real)
    for shown, colour, side in (
        ([one for one in real if lowest < one < highest], palette.ink2, None),
        ([lowest], palette.ink, "bottom center"),
        ([highest], palette.ink, "top center"),
    ):
        figure.add_scatter(
            x=[width] * len(shown), y=[variance for variance, _ in shown], name="heads",
            mode="markers+text" if side else "markers", textposition=side,
            text=[name for _, name in shown], textfont={"color": palette.ink, "size": 13},
            marker={"color": colour, "symbol": "circle-open", "size": 8},
            hovertemplate="%{text}: variance %{y:.3g}<extra></extra>",
        )  # fmt: skip


def _width_axis(figure: go.Figure, widths: Sequence[int]) -> None:
    shown = list(widths)[::2]
    figure.update_xaxes(
        type="log", tickvals=shown, ticktext=[f"{width:,}" for width in shown], fixedrange=True,
        title_text="dₖ, numbers per head",
        range=[math.log10(widths[0]) - 0.12, math.log10(widths[-1]) + 0.12],
    )  # fmt: skip


def _log_axis(figure: go.Figure, low: float, high: float, title: str) -> None:
    """A logarithmic y axis around the values, with room for a label above and below them."""
    ticks = _decades(low, high)
    figure.update_yaxes(
        type="log", range=[math.log10(max(low, TINY)) - 0.35, math.log10(max(high, TINY)) + 0.35], title_text=title,
        fixedrange=True, tickvals=ticks, ticktext=[_decimal(tick) for tick in ticks],
    )  # fmt: skip


def _decades(low: float, high: float) -> list[float]:
    """At most six powers of ten from about `low` to `high`; 1, 2 and 5 times them where there are few."""
    first, last = math.floor(math.log10(max(low, TINY))), math.ceil(math.log10(max(high, TINY)))
    powers = list(range(first, last + 1))
    if len(powers) > 3:
        return [10.0**power for power in powers[:: math.ceil(len(powers) / 6)]]
    return [step * 10.0**power for power in powers for step in (1, 2, 5)]


def _decimal(value: float) -> str:
    """A tick as text: 1,000, 0.02, and 10⁻⁹ where zeros would have to be counted."""
    if value >= 1:
        return f"{value:,.0f}"
    power = math.floor(math.log10(value) + 1e-9)
    if power < -5:
        digit = round(value / 10.0**power)
        return f"{'' if digit == 1 else f'{digit}·'}10<sup>−{-power}</sup>"
    return f"{value:.{-power}f}"


def _name_ends(figure: go.Figure, x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names two lines at their right ends, wherever they are on a logarithmic or linear axis."""
    logarithmic = figure.layout.yaxis.type == "log"
    for y, text, colour in ends:
        figure.add_annotation(
            x=math.log10(x), y=math.log10(max(y, TINY)) if logarithmic else y, text=text, xanchor="left", xshift=10,
            showarrow=False, font={"color": colour, "size": 14},
        )  # fmt: skip
    figure.update_layout(margin={"r": 84})
