"""The text to train on: a nursery rhyme, or the reader's own."""

from __future__ import annotations

from attnviz.errors import InvalidParameterError

# The House That Jack Built (first printed 1755): short, and each verse says the one before again.
_JACK = (
    ("the house that Jack built", "lay in"),
    ("the malt", "ate"),
    ("the rat", "killed"),
    ("the cat", "worried"),
    ("the dog", "tossed"),
    ("the cow with the crumpled horn", "milked"),
    ("the maiden all forlorn", "kissed"),
    ("the man all tattered and torn", "married"),
    ("the priest all shaven and shorn", "waked"),
    ("the cock that crowed in the morn", "kept"),
    ("the farmer sowing his corn", "belonged to"),
    ("the horse and the hound and the horn", ""),
)


def rhyme() -> str:
    """A nursery rhyme to train on, until somebody has a text of their own: 2,340 bytes."""
    verses = []
    for last in range(len(_JACK)):
        lines = [f"This is {_JACK[last][0]}"]
        lines += [f"That {did} {what}" for what, did in reversed(_JACK[:last])]
        verses.append("\n".join(lines) + ".")
    return "\n\n".join(verses)


RHYME = rhyme()


def vocabulary(n_bytes: int) -> int:
    """How many tokens a text of so many bytes bears: 300 for a page, 2,048 for a book."""
    return max(300, min(2048, 256 + n_bytes // 200))


def decoded(name: str, data: bytes) -> str:
    """An uploaded file as text. Errors: InvalidParameterError if it is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidParameterError(
            f"{name} is not text in UTF-8: byte {error.start:,} is 0x{data[error.start]:02X}. Save it as UTF-8 first."
        ) from None
    if "\0" in text:
        raise InvalidParameterError(f"{name} is not text: byte {data.index(0):,} is 0, as in binary files.")
    return text
