"""What a person reads for a token, and which tokens make up a word: plain functions on text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

# An apostrophe or hyphen between two letters belongs to the word: didn't, well-known, snake_case.
INNER = "'’＇-‐‑_"
IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
# Printable to Unicode, yet nothing to see: joiners, fillers, variation selectors, the blank Braille pattern.
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
SKIN_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")


def readable(piece: str) -> str:
    """`piece` so that a person sees all of it: no space before a word; ␣ ↵ ⇥; U+200B for what shows nothing.

    A surrogate (Python's "surrogateescape") stands for a byte that is part of a character, shown as \\xE2.
    """
    if piece[:1] == " " and piece[1:].strip():
        piece = piece[1:]
    shown = "".join(_show(ch) for ch in piece)
    return "◌" + shown if shown and unicodedata.category(shown[0])[0] == "M" else shown


def _show(ch: str) -> str:
    code = ord(ch)
    if ch in " \n\t":
        return {" ": "␣", "\n": "↵", "\t": "⇥"}[ch]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02X}"
    return ch if ch.isprintable() and not INVISIBLE.match(ch) else f"U+{code:04X}"


@cache
def byte_alphabet() -> dict[str, bytes]:
    """GPT-2's visible character for each byte: printable Latin-1 for itself, the rest from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(b): bytes([b]) for b in plain} | {chr(256 + n): bytes([b]) for n, b in enumerate(rest)}


def word_of_characters(text: str, stop: int | None = None) -> list[int]:
    """Word number of each character of text[:stop] (or a little more, to the end of its run without blanks).

    A word is a run of letters and digits with the apostrophes and hyphens inside it. Each ideograph, sign and
    emoji is a word of its own, and so are "...", "1,000.5" and the blanks between two words.
    """
    words: list[int] = []
    for run in re.finditer(r"\s+|\S+", text):
        if stop is not None and run.start() >= stop:
            break
        words.extend(_words_of_run(run.group(), words[-1] + 1 if words else 0))
    return words


def _words_of_run(run: str, word: int) -> list[int]:
    """Word numbers of the characters of a run, all blanks or none, counted from `word`."""
    if run.isspace() or (run.isascii() and run.isalnum()):
        return [word] * len(run)
    words: list[int] = []
    base, inside = "", False  # the last character that is no mark, and whether it stands inside a word
    for i, ch in enumerate(run):
        if base and _hangs(ch):
            words.append(word)
            continue
        within = _inside(base, ch, run[i + 1 : i + 2])
        joined = i > 0 and run[i - 1] == "\u200d" and not ch.isalnum()  # emoji in a zero-width-joiner sequence
        same = ch == base and unicodedata.category(ch) not in ("Lo", "So")  # "...", "=="
        follows = _letter(ch) and (_letter(base) or inside)
        if i and not (within or joined or same or follows):
            word += 1
        words.append(word)
        base, inside = ch, within
    return words


def _inside(before: str, ch: str, after: str) -> bool:
    """Whether `ch` is an apostrophe or hyphen inside a word, or the point or comma inside a number."""
    if ch in INNER:
        return _letter(before) and _letter(after)
    return ch in ".,:" and before.isdigit() and after.isdigit()


def _letter(ch: str) -> bool:
    return ch.isalnum() and not IDEOGRAPH.match(ch)


def _hangs(ch: str) -> bool:
    """Whether `ch` belongs to the character before it: combining marks, format characters, skin tones."""
    return unicodedata.category(ch) in ("Mn", "Mc", "Me", "Cf") or SKIN_TONE.match(ch) is not None


def without_blanks(
    text: str, content: Sequence[tuple[int, int]], special: Sequence[bool]
) -> tuple[tuple[int, int], ...]:
    """Offsets of all tokens from those of the content: no blanks around a word, blanks by themselves kept.

    A special token stands where the token before it ended. (The library's own trimming trims once more each
    time it runs and leaves nothing of a token that is a blank; so only its first result is used.)
    """
    remaining, last = iter(content), 0
    result: list[tuple[int, int]] = []
    for is_special in special:
        start, end = (last, last) if is_special else next(remaining)
        piece = text[start:end]
        if piece.strip():
            start, end = end - len(piece.lstrip()), start + len(piece.rstrip())
        elif not is_special and start == end and text[last:start].isspace():
            start = last
        result.append((start, end))
        last = end
    return tuple(result)


def number_words(text: str, offsets: Sequence[tuple[int, int]], special: Sequence[bool]) -> tuple[int | None, ...]:
    """The word of each token: that of its first character; numbered in order of appearance."""
    starts = [start for (start, _), is_special in zip(offsets, special, strict=True) if not is_special]
    word_at = word_of_characters(text, max(starts, default=-1) + 1)
    numbers: dict[int, int] = {}
    words: list[int | None] = []
    for (start, _), is_special in zip(offsets, special, strict=True):
        word = word_at[min(start, len(word_at) - 1)] if word_at else 0
        words.append(None if is_special else numbers.setdefault(word, len(numbers)))
    return tuple(words)
