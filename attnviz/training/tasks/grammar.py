"""A small grammar of English whose sentences come with the answers: who a pronoun means, what a verb agrees with, which
noun an adjective belongs to.

    One day the queens near the lion reward the shy boy because he wants the drum.
    reward → queens (not lion), shy → boy, he → boy (the queens are "they", the lion is "it")
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
RELATIONS = ("pronoun", "verb", "adjective")  # each is a word that depends on one noun of its sentence

# Of each noun: its plural, its pronoun, and the thing that it alone wants; a group shares its adjectives and its verbs.
NOUNS: dict[str, dict[str, tuple[str, str, str]]] = {
    "royal": {
        "king": ("kings", "he", "ring"),
        "queen": ("queens", "she", "sword"),
        "prince": ("princes", "he", "mirror"),
        "princess": ("princesses", "she", "throne"),
    },
    "child": {
        "boy": ("boys", "he", "drum"),
        "girl": ("girls", "she", "kite"),
        "brother": ("brothers", "he", "doll"),
        "sister": ("sisters", "she", "ball"),
    },
    "elder": {
        "father": ("fathers", "he", "basket"),
        "mother": ("mothers", "she", "hammer"),
        "uncle": ("uncles", "he", "needle"),
        "aunt": ("aunts", "she", "map"),
    },
    "beast": {
        "bear": ("bears", "it", "honey"),
        "lion": ("lions", "it", "bone"),
        "horse": ("horses", "it", "hay"),
        "crow": ("crows", "it", "worm"),
    },
    "pet": {
        "dog": ("dogs", "it", "stick"),
        "cat": ("cats", "it", "bell"),
        "rabbit": ("rabbits", "it", "carrot"),
        "pony": ("ponies", "it", "saddle"),
    },
    "place": {
        "tower": ("towers", "it", ""),
        "river": ("rivers", "it", ""),
        "garden": ("gardens", "it", ""),
        "forest": ("forests", "it", ""),
    },
}
ADJECTIVES = {
    "royal": ("proud", "rich", "noble", "vain"),
    "child": ("young", "merry", "shy", "lively"),
    "elder": ("wise", "tired", "stern", "gentle"),
    "beast": ("wild", "huge", "hungry", "strong"),
    "pet": ("tame", "furry", "sleepy", "playful"),
    "place": ("dark", "wide", "distant", "empty"),
    "thing": ("new", "heavy", "broken", "shiny"),
}
ANYTHING = tuple(NOUNS)
ALIVE = ANYTHING[:-1]
DOES = {
    "royal": (("commands", "command"), ("rewards", "reward"), ("pardons", "pardon")),
    "child": (("teases", "tease"), ("hugs", "hug"), ("copies", "copy")),
    "elder": (("advises", "advise"), ("scolds", "scold"), ("teaches", "teach")),
    "beast": (("hunts", "hunt"), ("bites", "bite"), ("scares", "scare")),
    "pet": (("licks", "lick"), ("sniffs", "sniff"), ("obeys", "obey")),
}
WANTS = (("wants", "want"), ("seeks", "seek"), ("has", "have"), ("loses", "lose"), ("keeps", "keep"))
IS = ("is", "are")
NEAR = ("near", "behind", "beside")
OFTEN = ("often", "never", "always")
INTROS = ((), ("Today",), ("One", "day"), ("This", "morning"))
JOINED = ("because", "when", "while", "although", ".")


@dataclass(frozen=True)
class Dependency:
    """A word and the noun that it depends on, as places in the sentence."""

    relation: str  # one of RELATIONS
    word: int
    noun: int


@dataclass(frozen=True)
class Sentence:
    """Words, of which a comma or a full stop is one, and what is known of them."""

    words: tuple[str, ...]
    nouns: tuple[int, ...]  # places of all nouns: the candidates of every link
    links: tuple[Dependency, ...]

    @property
    def text(self) -> str:
        """As one writes it."""
        return " ".join(self.words).replace(" .", ".").replace(" ,", ",")


@dataclass(frozen=True)
class _Noun:
    """A noun that was said."""

    at: int
    name: str  # in the singular
    group: str
    plural: bool

    @property
    def pronoun(self) -> str:
        return "they" if self.plural else NOUNS[self.group][self.name][1]

    @property
    def thing(self) -> str:
        return NOUNS[self.group][self.name][2]


class _Draft:
    """A sentence while it is made up. Only `random()` is asked for numbers: its sequence is the same everywhere."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.words: list[str] = []
        self.said: list[_Noun] = []
        self.places: list[int] = []  # of all nouns, things too
        self.links: list[Dependency] = []

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.source.random() * len(options))]

    def happens(self, share: float) -> bool:
        return self.source.random() < share

    def say(self, *words: str) -> int:
        """Adds words; gives the place of the last one."""
        self.words += words
        return len(self.words) - 1

    def verb(self, forms: tuple[str, str], subject: _Noun) -> None:
        """A verb in the number of its subject."""
        self.links.append(Dependency("verb", self.say(forms[subject.plural]), subject.at))

    def phrase(self, groups: Sequence[str]) -> _Noun:
        """The, up to two adjectives, and a noun of a group that the sentence does not have yet."""
        group = self.pick([one for one in groups if one not in {noun.group for noun in self.said}])
        name = self.pick([*NOUNS[group]])
        plural = self.happens(0.4)
        at = self._described(NOUNS[group][name][0] if plural else name, group)
        noun = _Noun(at, name, group, plural)
        self.said.append(noun)
        return noun

    def _described(self, noun: str, group: str) -> int:
        """The, adjectives of the group, the noun; gives its place."""
        self.say("the")
        places = [self._adjective(group) for _ in range(self.pick((0, 0, 0, 0, 0, 0, 0, 1, 1, 2)))]
        at = self.say(noun)
        self.places.append(at)
        self.links += [Dependency("adjective", place, at) for place in places]
        return at

    def _adjective(self, group: str) -> int:
        """One that the sentence does not have yet, while there is one; gives its place."""
        return self.say(self.pick([one for one in ADJECTIVES[group] if one not in self.words] or ADJECTIVES[group]))

    def beside(self, noun: _Noun, share: float) -> None:
        """Something that stands between a noun and its verb: "near the …", "that the … licks", ", wild and strong,"."""
        if not self.happens(share):
            return
        which = self.source.random()
        if which < 0.4:
            self.say(self.pick(NEAR))
            self.phrase(ANYTHING)
        elif which < 0.7:
            self.say("that")
            other = self.phrase(ALIVE)
            self.verb(self.pick(DOES[other.group]), other)
        else:
            self.besides(noun)
            self.say(",")

    def besides(self, noun: _Noun) -> None:
        """, wild and strong: adjectives behind their noun."""
        self.say(",")
        self.links += [Dependency("adjective", place, noun.at) for place in self.how(noun)]

    def main(self) -> bool:
        """Who does what to whom; whether it ends behind a comma."""
        subject = self.phrase(ALIVE)
        self.beside(subject, 0.75)
        if self.happens(0.3):
            self.say(self.pick(OFTEN))
        self.verb(self.pick(DOES[subject.group]), subject)
        whom = self.phrase(ALIVE)
        if self.happens(0.25):
            self.say(self.pick(NEAR))
            self.phrase(ANYTHING)
        elif self.happens(0.25):
            self.besides(whom)
            return True
        return False

    def how(self, noun: _Noun) -> list[int]:
        """One adjective of a noun that stands before it, or two; gives their places."""
        if self.happens(0.2):
            self.say("very")
        places = [self._adjective(noun.group)]
        if self.happens(0.5):
            self.say("and")
            places.append(self._adjective(noun.group))
        return places

    def reason(self, comma: bool) -> None:
        """A clause about one of those named: the only one whom its pronoun can mean.

        Its verb and its adjectives belong to the pronoun, and to that noun only by way of it: they are no links.
        """
        pronouns = [noun.pronoun for noun in self.said]
        clear = [noun for noun in self.said if noun.thing and pronouns.count(noun.pronoun) == 1]
        if not clear:
            return
        meant, joint = self.pick(clear), self.pick(JOINED)
        self.say(*[","] * (comma and joint != "."), joint)
        pronoun = meant.pronoun.capitalize() if joint == "." else meant.pronoun
        self.links.append(Dependency("pronoun", self.say(pronoun), meant.at))
        if self.happens(0.5):
            self.say(IS[meant.plural])
            self.how(meant)
            return
        if self.happens(0.3):
            self.say(self.pick(OFTEN))
        self.say(self.pick(WANTS)[meant.plural])
        self._described(meant.thing, "thing")


def sentence(source: random.Random) -> Sentence:
    """A sentence drawn at random, with all its links."""
    draft = _Draft(source)
    draft.say(*draft.pick(INTROS))
    comma = draft.main()
    if draft.happens(0.75):
        draft.reason(comma)
    draft.say(".")
    draft.words[0] = draft.words[0].capitalize()
    return Sentence(tuple(draft.words), tuple(draft.places), tuple(draft.links))


def kinds() -> list[list[str]]:
    """Every word that a sentence can have, with those that could stand in its place: nouns, verbs, …"""
    table = {name: forms for group in NOUNS.values() for name, forms in group.items()}
    pronouns = sorted({pronoun for _, pronoun, _ in table.values()} | {"they"})
    return [
        sorted(form for name, (plural, _, _) in table.items() for form in (name, plural)),
        sorted({thing for _, _, thing in table.values()} - {""}),
        sorted(
            form for forms in (*(forms for group in DOES.values() for forms in group), *WANTS, IS) for form in forms
        ),
        sorted(one for group in ADJECTIVES.values() for one in group),
        pronouns,
        [one.capitalize() for one in pronouns],
        ["the", "that", "very", "and", *NEAR, *OFTEN, *JOINED[:-1], "day", "morning"],
        ["The", *(intro[0] for intro in INTROS if intro)],
        [".", ","],
    ]
