"""What the command line writes: a stranger's token, title or name does not steer the terminal that shows it.

A terminal obeys signs that nobody sees: an escape sequence clears the screen, names the window or fills the clipboard.
"""

from __future__ import annotations

import sys
from typing import Any, TextIO

# ASCII's and Unicode's controls, those that turn the direction of what follows, and halves of characters, which cannot
# be written; a new line and a tab do no harm.
_STEERS = {
    *range(32),
    *range(127, 160),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    0x2028,
    0x2029,
    *range(0xD800, 0xE000),
}
_SHOWN = dict.fromkeys(_STEERS - {ord("\n"), ord("\t")}, "\ufffd")


def plain(text: str) -> str:
    """A text in which every sign that steers a terminal is the replacement character."""
    return text.translate(_SHOWN)


def write(line: str, out: TextIO | None = None) -> None:
    """Writes one line, whatever stands in it."""
    (out or sys.stdout).write(plain(line.replace("\n", " ")) + "\n")


def console() -> Any:
    """Rich's console, with colours and tables of its own, in which all text is plain."""
    from rich.console import Console, RenderHook
    from rich.segment import Segment

    class Shown:
        def __init__(self, given: Any) -> None:
            self.given = given

        def __rich_console__(self, console: Console, options: Any) -> Any:
            for part in console.render(self.given, options):
                yield part if part.control else Segment(plain(part.text), part.style)

    class Plain(RenderHook):
        def process_renderables(self, renderables: list[Any]) -> list[Any]:
            return [Shown(one) for one in renderables]

    made = Console()
    made.push_render_hook(Plain())
    return made
