"""The one palette: colours of the light and the dark theme, for figures, style sheets, canvases and Streamlit's own.

Colour is data, ink is interaction: blue is an amount of attention, a selection is drawn in ink. The style sheet that
the browser reads, `frontend/core/palette.css`, is written from here by `python -m attnviz.browser.contract`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """The colours of a theme, #RRGGBB."""

    paper: str
    sunken: str
    line: str  # hairlines
    grid: str  # gaps of a matrix
    edge: str  # outlines of controls; never text
    ink: str  # titles, outlines of what is selected
    ink1: str  # text
    ink2: str  # secondary text
    accent: str  # links and controls
    query_fill: str  # the looking word
    query_ink: str
    query: str  # its edge
    key_fill: str  # the seen word
    key_ink: str
    key: str  # its edge
    value_fill: str
    value_ink: str
    positive: str
    negative: str
    negative_ink: str  # as text
    categories: tuple[str, ...]  # at most four in a figure, labelled directly
    sequential: tuple[str, ...]  # 10 amounts, from nothing to all
    changes: tuple[str, ...]  # 10 signed changes, from less to more

    @property
    def diverging(self) -> tuple[str, ...]:
        """The changes with paper in the middle, for what lies between them."""
        half = len(self.changes) // 2
        return (*self.changes[:half], self.paper, *self.changes[half:])


def _colours(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LIGHT = Palette(
    paper="#FFFFFF",
    sunken="#F3F5F8",
    line="#DFE3E9",
    grid="#EEF1F5",
    edge="#8A93A1",
    ink="#12161D",
    ink1="#2A313C",
    ink2="#59616E",
    accent="#2259AC",
    query_fill="#FFE3AE",
    query_ink="#6B4300",
    query="#C77700",
    key_fill="#D5E7FF",
    key_ink="#1A4185",
    key="#3070CA",
    value_fill="#D3F0E5",
    value_ink="#0E5E4A",
    positive="#3070CA",
    negative="#CC573C",
    negative_ink="#B1402C",
    categories=_colours("#3070CA #C77700 #0E5E4A #59616E"),
    sequential=_colours("#FFFFFF #E1EFFF #BBDAFE #8EC1FF #63A3F3 #4487E1 #3070CA #2259AC #1A4185 #132B5A"),
    changes=_colours("#68231D #B1402C #E27455 #FCB79E #FFECE5 #E1EFFF #8EC1FF #4487E1 #2259AC #132B5A"),
)
DARK = Palette(
    paper="#14171D",
    sunken="#1E232C",
    line="#2C333E",
    grid="#1B2028",
    edge="#6F7A8A",
    ink="#F1F3F7",
    ink1="#D6DBE3",
    ink2="#A3ABB8",
    accent="#73BAFF",
    query_fill="#4A3610",
    query_ink="#FFD68F",
    query="#FFC35C",
    key_fill="#1B3A66",
    key_ink="#BFDFFF",
    key="#73BAFF",
    value_fill="#173B31",
    value_ink="#A6E3D0",
    positive="#499BED",
    negative="#F29270",
    negative_ink="#F29270",
    categories=_colours("#499BED #FFC35C #A6E3D0 #8A93A1"),
    sequential=_colours("#14171D #19253B #1D3964 #205090 #2668B6 #3180D4 #499BED #73BAFF #A8D5FE #D5EBFF"),
    changes=_colours("#FFDCCD #F29270 #BC4F35 #692921 #231715 #19253B #205090 #3180D4 #73BAFF #D5EBFF"),
)
