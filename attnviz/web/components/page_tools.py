"""The tools of every page: its link with a QR code, the presenter form, print. All of it happens in the browser."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.browser import bundle
from attnviz.inputs.assets import ASSETS
from attnviz.web.components import bridge

KEY = "page-tools"

_mount = bridge.component(
    "attnviz_page_tools",
    "widgets/page-tools.js",
    (bundle.FOLDER / "widgets/page-tools.html").read_text("utf-8"),
    (bundle.FOLDER / "widgets/page-tools.css").read_text("utf-8"),
)


def page_tools(about: str, pages: Sequence[str], own: Sequence[str], left_out: Sequence[str]) -> None:
    """Draws them.

    Arguments
        about: what the page is of, for paper; plain text.
        pages: the paths of all pages, below the app's address.
        own: parameters of the address that stand in no link for others.
        left_out: sentences, each on something on screen that the page's link does not carry.
    """
    data = {
        "about": about,
        "pages": list(pages),
        "own": list(own),
        "leftOut": list(left_out),
        "qrcode": f"{bridge.served('qrcode', ASSETS / 'qrcode')}/qrcode.js",
    }
    _mount(data=data, key=KEY)
