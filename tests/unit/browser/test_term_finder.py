"""core/term-finder.js: which words of a text the glossary explains; widgets/start-place.js: where the card stands."""

import json
from dataclasses import asdict

import pytest

from attnviz.web.glossary import entries
from tests.support.node import run_node

ENTRIES = json.dumps([asdict(entry) for entry in entries()])


def found(text: str, signs_only: bool = False) -> list[tuple[str, str]]:
    """Each place as it is written, and the term that it stands for."""
    script = f"""
    const entries = {ENTRIES}, text = {json.dumps(text)};
    const finder = term_finder.termFinder(entries);
    give(term_finder.findTerms(finder, text, {json.dumps(signs_only)}).map(
      ({{start, end, entry}}) => [text.slice(start, end), entries[entry].term]));
    """
    return [(written, term) for written, term in run_node(script)]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("In layer 3, head 1", [("layer", "layer"), ("head", "head")]),
        ("Heads and layers; queries, keys, values", [("Heads", "head"), ("layers", "layer"), ("queries", "query"),
                                                      ("keys", "key"), ("values", "value")]),
        ("attention weights, a sink", [("attention weights", "weight"), ("sink", "attention sink")]),
        ("Attention\nweights of masks", [("Attention\nweights", "weight"), ("masks", "mask")]),
        ("[CLS][SEP] “[CLS]” _head head_", [("[CLS]", "[CLS]"), ("[SEP]", "[SEP]"), ("[CLS]", "[CLS]")]),
        ("LayerNorm, layernorm", [("LayerNorm", "LayerNorm")]),
        ("ahead monkey tokenizers", [("tokenizers", "tokenizer")]),
        ("τ = 2, √dₖ, q·k", [("τ", "temperature"), ("√dₖ", "√dₖ"), ("q·k", "q·k")]),
        ("“head” gives “[CLS]” 3 %", [("[CLS]", "[CLS]")]),
        ("post-norm and pre-norm", [("post-norm", "post-norm"), ("pre-norm", "pre-norm")]),
        ("pieces such as ·ly and \\xD9", [("pieces", "piece"), ("·ly", "piece"), ("\\xD9", "byte sign")]),
        ("6 × 12 · 3", []),
    ],
)  # fmt: skip
def test_terms_are_found_as_they_are_written(text: str, terms: list[tuple[str, str]]) -> None:
    assert found(text) == terms


def test_of_the_readers_own_words_only_signs_are_explained() -> None:
    assert found("head", signs_only=True) == []
    assert found("[UNK]", signs_only=True) == [("[UNK]", "[UNK]")]
    assert found("·ization", signs_only=True) == [("·ization", "piece")]


def box(numbers: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(("left", "top", "width", "height"), numbers, strict=True))


WIDE, NARROW = {"width": 340, "height": 200}, {"width": 260, "height": 260}


def place(
    part: tuple[int, ...], side: str, *spoken_of: tuple[int, ...], forms: tuple[dict[str, int], ...] = (WIDE,)
) -> dict[str, float]:
    names, covered = box(part), [box(one) for one in spoken_of]
    room = {"left": 300, "top": 60, "width": 1100, "height": 840}
    given: dict[str, float] = run_node(
        f"give(start_place.cardPlace({json.dumps(names)}, {json.dumps(forms)}, '{side}', {json.dumps(room)}, "
        f"{json.dumps(covered)}))"
    )
    form = {name: given.pop(name) for name in ("width", "height")}
    assert form in forms
    return given if len(forms) == 1 else given | {"width": form["width"]}


def test_the_card_stands_beside_the_part_that_it_explains_and_never_outside_the_window() -> None:
    assert place((340, 200, 220, 300), "right") == {"left": 574, "top": 200}
    assert place((340, 200, 220, 300), "below") == {"left": 340, "top": 514}
    assert place((340, 200, 220, 300), "left") == {"left": 574, "top": 200}  # there is no room at the left
    assert place((1000, 850, 300, 200), "left") == {"left": 646, "top": 688}
    assert place((310, 70, 1080, 820), "right") == {"left": 1048, "top": 688}  # over the end of what fills the window


def test_the_card_does_not_cover_the_cell_that_it_speaks_of() -> None:
    controls = (340, 640, 220, 240)
    assert place(controls, "right") == {"left": 574, "top": 640}
    assert place(controls, "right", (700, 700, 32, 32)) == {"left": 340, "top": 426}  # above them
    everywhere = (310, 70, 1080, 820)
    assert place(everywhere, "right", (1100, 750, 32, 32)) == {"left": 312, "top": 688}  # another corner
    assert place(everywhere, "right", everywhere) == {"left": 1048, "top": 688}  # there is no place without it


def test_the_card_gets_narrower_before_it_covers_what_it_speaks_of() -> None:
    everywhere, table = (310, 70, 1080, 820), (310, 70, 800, 820)  # 290 px are free at the right
    assert place(everywhere, "right", table, forms=(WIDE, NARROW)) == {"left": 1128, "top": 628, "width": 260}
    beside = (310, 70, 700, 820)
    assert place(everywhere, "right", beside, forms=(WIDE, NARROW)) == {"left": 1048, "top": 688, "width": 340}
    # where all of it is spoken of, the least: 190 rows of 200, for 10 are between the strip and the rest
    strip, rest = (310, 70, 1080, 30), (310, 110, 1080, 780)
    assert place(everywhere, "right", strip, rest) == {"left": 1048, "top": 72}
