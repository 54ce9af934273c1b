"""Programs that come with attnviz, each with what its heads are by construction."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from attnviz.models.programs import source
from attnviz.models.programs.language import Program

LONGEST = 12  # letters of a text
LETTERS = "abcdef"


@dataclass(frozen=True)
class Listing:
    """A program as text, with its title, a sentence on it, and a text to run it on."""

    name: str
    title: str
    explains: str
    example: str
    text: str
    alphabet: str = LETTERS
    causal: bool = False
    roles: dict[str, str] = field(default_factory=dict)  # the name of a selector → the role of its head


LISTINGS = (
    Listing(
        "previous",
        "Previous letter",
        "One head copies the letter before.",
        "badcafe",
        """
before = select(indices, indices, key == query - 1)
aggregate(before, tokens)
""",
        causal=True,
        roles={"before": "previous"},
    ),
    Listing(
        "shift",
        "Three letters ago",
        "One head looks three places back.",
        "abcdef",
        """
three_ago = select(indices, indices, key == query - 3)
aggregate(three_ago, tokens)
""",
        causal=True,
    ),
    Listing(
        "first",
        "First letter",
        "One head looks at the first letter.",
        "facade",
        """
first = select(indices, indices, key == 0)
aggregate(first, tokens)
""",
        causal=True,
    ),
    Listing(
        "reverse",
        "Reverse",
        "Count the letters, work out the opposite place, fetch what stands there.",
        "abcdef",
        """
length = count(select(indices, indices, True))
opposite = max(length - 1 - indices, 0)
aggregate(select(indices, opposite, key == query), tokens)
""",
    ),
    Listing(
        "histogram",
        "How often",
        "Each letter counts the letters like itself.",
        "abacab",
        """
same = select(tokens, tokens, key == query)
min(count(same), 9)
""",
        roles={"same": "duplicate"},
    ),
    Listing(
        "seen",
        "Seen before?",
        "T where the letter stood earlier in the text.",
        "abcabd",
        """
earlier = select(tokens, tokens, key == query) & select(indices, indices, key < query)
count(earlier) > 0
""",
        roles={"earlier": "duplicate"},
    ),
    Listing(
        "last-seen",
        "How long ago",
        "How many places ago the letter last stood; - if never.",
        "abcab",
        """
earlier = select(tokens, tokens, key == query) & select(indices, indices, key < query)
there = aggregate(earlier, indices)
ago = min(indices - there, 9) if there < indices else 0
otherwise(ago, "-")
""",
        roles={"earlier": "duplicate"},
    ),
    Listing(
        "sort",
        "Sort",
        "Each letter counts the smaller ones, and equal ones before it: that is its place.",
        "fbdaec",
        f"""
smaller = select(tokens, tokens, key < query)
earlier = select(tokens, tokens, key == query) & select(indices, indices, key < query)
place = min(count(smaller) + count(earlier), {LONGEST - 1})
aggregate(select(place, indices, key == query), tokens)
""",
        roles={"earlier": "duplicate"},
    ),
    Listing(
        "induction",
        "Induction",
        "What followed this letter, where it last stood before?",
        "abcdabc",
        """
before = select(indices, indices, key == query - 1)
letter_before = aggregate(before, tokens)
follows = select(letter_before, tokens, key == query)
aggregate(follows, tokens)
""",
        causal=True,
        roles={"before": "previous", "follows": "induction"},
    ),
    Listing(
        "commonest",
        "Commonest letter",
        "The letter that stands most often, the first of several.",
        "abbacb",
        """
same = select(tokens, tokens, key == query)
times = count(same)
top = count(select(times, times, key > query)) == 0
aggregate(select(top, indices, key, prefer="first"), tokens)
""",
        roles={"same": "duplicate"},
    ),
    Listing(
        "balanced",
        "Balanced brackets",
        "Does each bracket find its partner?",
        "(()())",
        """
so_far = select(indices, indices, key <= query)
opened = count(select(tokens, indices, key == "(") & so_far)
closed = count(select(tokens, indices, key == ")") & so_far)
too_many = count(select(opened < closed, indices, key))
open_at_the_end = aggregate(select(indices, indices, True), opened != closed)
too_many == 0 and not open_at_the_end
""",
        alphabet="()",
    ),
    Listing(
        "palindrome",
        "Palindrome",
        "The same from both ends?",
        "abccba",
        """
length = count(select(indices, indices, True))
opposite = max(length - 1 - indices, 0)
across = aggregate(select(indices, opposite, key == query), tokens)
count(select(across != tokens, indices, key)) == 0
""",
    ),
)


def listing(name: str) -> Listing | None:
    """A program by its name; None if there is no such one."""
    return next((one for one in LISTINGS if one.name == name), None)


@lru_cache(maxsize=32)
def program(name: str) -> Program:
    """A listed program, read. Errors: KeyError for an unknown name."""
    found = {one.name: one for one in LISTINGS}[name]
    return source.read(found.text, found.alphabet, LONGEST, causal=found.causal, roles=found.roles)
