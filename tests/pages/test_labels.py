"""What a stranger types stands in every widget as it was typed: no Markdown is made of it, and no backslash is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from tests.pages.driver import Page, elements, opened

TYPED = r"*it* _was_ [link](http://x.y) `code` $x^2$ :red[wet] ~so~ \n # <b>bold</b> - 1. &amp; it"
ESCAPED = re.compile(r"\\[\\`*_{}\[\]()<>#+\-.!|~:$&]")
SIGNS = re.compile(r"[*_`\[\]~$<>\\]")  # what Markdown or Streamlit would read where it is not escaped
LISTS = ("selectbox", "multiselect")  # whose options Streamlit shows as they are
COMPONENTS = ("bidi_component", "component_instance", "html", "code", "latex", "text")
AT_A_SIGN = {  # by page: parameters that choose the first token, “*”
    "": {},
    "softmax": {"query": 1},
    "masks": {"token": 1, "position": 1},
    "positions": {"word": 1},
    "encoder_block": {"token": 1},
    "variants": {},
    "generate": {},
    "step_by_step": {"of": "text", "query": 1},
    "compare": {"other": TYPED[::-1], "token": 1},
    "what_if": {"other": TYPED, "how": "zero"},
}
PLACES: list[tuple[str, str, dict[str, Any]]] = [
    *((page, model, query) for page, query in AT_A_SIGN.items() for model in ("minilm", "induction")),
    *((page, "minilm", {}) for page in ("vision", "models", "lessons", "glossary", "replay")),
    ("translate", "minilm", {"source": TYPED}),
    ("train", "minilm", {"task": "language", "corpus": TYPED}),
    (
        "program",
        "minilm",
        {"program": "own", "code": "min(count(select(tokens, tokens, key == query)), 9)", "letters": "*_[`"},
    ),
]


def labels(page: Page) -> Iterator[tuple[str, str, bool]]:
    """(kind, text, whether Markdown is read in it) of every label, option and caption on the page."""
    for element in (*elements(page.main), *elements(page.sidebar)):
        if element.type in COMPONENTS:
            continue
        fields = MessageToDict(element.proto)
        for name in ("label", "help", "body"):
            if isinstance(fields.get(name), str):
                yield element.type, fields[name], True
        for option in fields.get("options", []):
            text = option.get("content", "") if isinstance(option, dict) else str(option)
            yield element.type, text, element.type not in LISTS


@pytest.mark.parametrize(
    ("name", "model", "query"),
    [
        pytest.param(*place, marks=() if place[:2] == ("masks", "minilm") else pytest.mark.nightly, id=f"{place[:2]}")
        for place in PLACES
    ],
)
def test_no_label_makes_markdown_of_a_text_or_shows_a_backslash(name: str, model: str, query: dict[str, Any]) -> None:
    page = opened(name, text=TYPED, model=model, **query)
    signs = 0
    for kind, text, reads_markdown in labels(page):
        if not reads_markdown:
            assert not re.search(r"\\[\[\].*]", text), (kind, text)
            continue
        for quoted in re.findall(r"“([^”]*)”", text):  # tokens and texts
            assert not SIGNS.search(ESCAPED.sub("", quoted)), (kind, text)
            signs += bool(ESCAPED.search(quoted))
    if name == "masks":
        assert signs, "nothing that could have gone wrong was on the page"
