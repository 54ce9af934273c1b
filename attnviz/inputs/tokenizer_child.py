"""What is asked of the `tokenizers` library, in plain values: in this process, or as a script in one of its own.

As a script it knows nothing of attnviz: it imports this file's few modules and the library, takes limits upon itself,
and answers on its standard output what its standard input asks (see `isolated_tokenizer`). A frame is 8 bytes, the
length of the JSON that follows.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers

PROBE = "a ☃ z"  # a vocabulary without [UNK] loads well, and fails at the first word it does not know
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens", "model")
EMPTY: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {}, "unk_token": "x"},
}


class Refused(Exception):
    """Why the library does not do what it is asked, in words of ours, without a full stop."""


@contextlib.contextmanager
def in_our_words(why: Callable[[], str]) -> Iterator[None]:
    """Errors: Refused for whatever the library raises."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Refused) or not is_the_librarys(error):
            raise
        raise Refused(why()) from error


def is_the_librarys(error: BaseException) -> bool:
    """Whether an error may be one of the library's: a panic of its Rust is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


class Reader:
    """A tokenizer of the library, asked for plain values."""

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        library.no_truncation()  # files carry both, set for the model's training
        library.no_padding()
        library.encode_special_tokens = True  # "[CLS]" typed by a user is plain text
        self.library = library

    def about(self) -> dict[str, Any]:
        """What is known of it before it reads a text."""
        library = self.library
        pipeline = f"{library.decoder} {library.pre_tokenizer}"
        return {
            "last_id": _last_id(library),
            "added": [
                (i, str(token.content), token.special) for i, token in library.get_added_tokens_decoder().items()
            ],
            "around": library.num_special_tokens_to_add(False),  # special tokens around one text
            "around_pair": library.num_special_tokens_to_add(True),
            "byte_level": "ByteLevel" in pipeline,
            "byte_fallback": "ByteFallback" in pipeline,
            "metaspace": "▁" in pipeline,
            "prefix": getattr(library.model, "continuing_subword_prefix", None) or "",
            "suffix": getattr(library.model, "end_of_word_suffix", None) or "",
        }

    def encode(self, text: str, room: int | None) -> dict[str, Any]:
        """The tokens of a text, at most `room` of them, with the special ones around; `cut` were left out.

        `offsets` are those of the text's own tokens.
        """
        content = self._content(text)
        cut = 0 if room is None else max(0, len(content) - room)
        if cut:
            content.truncate(len(content) - cut)
        full = self._post_processed(content)
        return {
            "ids": full.ids,
            "tokens": full.tokens,
            "special": full.special_tokens_mask,
            "offsets": content.offsets,
            "cut": cut,
        }

    def encode_pair(self, first: str, second: str, room: int | None) -> dict[str, Any]:
        """As `encode`, of two texts: the longer one is cut first. `offsets` are those of both, one after the other."""
        contents = [self._content(text) for text in (first, second)]
        lengths = [len(content) for content in contents]
        kept = lengths if room is None else _fitting(lengths[0], lengths[1], room)
        for content, n in zip(contents, kept, strict=True):
            if n < len(content):
                content.truncate(n)
        full = self._post_processed(*contents)
        return {
            "ids": full.ids,
            "tokens": full.tokens,
            "special": full.special_tokens_mask,
            "types": full.type_ids,
            "offsets": [content.offsets for content in contents],
            "cut": sum(lengths) - sum(kept),
        }

    def decode(self, ids: Sequence[int], skip_special: bool) -> str:
        """The text of ids."""
        with in_our_words(lambda: gives_up("decoder", self.library.decoder)):
            text: str = self.library.decode(list(ids), skip_special_tokens=skip_special)
        return text

    def decode_each(self, ids: Sequence[int]) -> list[str]:
        """The text of each id by itself."""
        with in_our_words(lambda: gives_up("decoder", self.library.decoder)):
            texts: list[str] = self.library.decode_batch([[i] for i in ids], skip_special_tokens=True)
        return texts

    def names(self, ids: Sequence[int]) -> list[str | None]:
        """The tokens of ids; None where there is none."""
        return [self.library.id_to_token(i) for i in ids]

    def to_json(self) -> str:
        """The content of a tokenizer.json."""
        with in_our_words(lambda: "one of its parts has no form as JSON"):
            text: str = self.library.to_str()
        return text

    def _content(self, text: str) -> Any:
        """The text's own tokens, as the library has them. Errors: Refused."""
        with in_our_words(lambda: self._at_fault(text)):
            return self.library.encode(text, add_special_tokens=False)

    def _post_processed(self, *contents: Any) -> Any:
        """Tokens with the special ones around. Errors: Refused."""
        with in_our_words(lambda: gives_up("post_processor", self.library.post_processor)):
            return self.library.post_process(*contents)

    def _at_fault(self, text: str) -> str:
        """Which part gives up on a text, by asking one after the other."""
        library = self.library
        if library.normalizer is not None:
            try:
                text = library.normalizer.normalize_str(text)
            except BaseException:
                return gives_up("normalizer", library.normalizer)
        pieces = [text]
        if library.pre_tokenizer is not None:
            try:
                pieces = [piece for piece, _ in library.pre_tokenizer.pre_tokenize_str(text)]
            except BaseException:
                return gives_up("pre_tokenizer", library.pre_tokenizer)
        unknown = getattr(library.model, "unk_token", None)
        for piece in pieces:
            try:
                library.model.tokenize(piece)
            except BaseException:
                if unknown is not None and library.token_to_id(unknown) is None:
                    return f"its vocabulary does not know {piece[:40]!r}, and has no {unknown[:40]} for what is unknown"
                return gives_up("model", library.model)
        return "its parts, each of which reads it, give up together"


def _fitting(first: int, second: int, room: int) -> list[int]:
    """How many tokens of two texts fit, the longer one cut first, as the library's own truncation has it."""
    short, long = sorted((first, second))
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    long = min(long, max(first, second))
    return [long, short] if first > second else [short, long]


def gives_up(name: str, part: object) -> str:
    """That a part of a tokenizer cannot do what it is for."""
    return f"its {name} ({type(part).__name__}) gives up"


def read(content: bytes) -> Reader:
    """A tokenizer.json, tried on a few characters. Errors: Refused."""
    import tokenizers

    with in_our_words(lambda: unreadable(content)):
        reader = Reader(tokenizers.Tokenizer.from_buffer(content))
    return _tried(reader)


def unreadable(content: bytes) -> str:
    """Why the library reads no tokenizer in this: the first part that it does not read alone either."""
    import tokenizers

    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return "it is no JSON"
    if not isinstance(whole, dict) or "model" not in whole:
        return "it names no model"
    for name in PARTS:
        part = whole.get(name)
        try:
            tokenizers.Tokenizer.from_str(json.dumps(EMPTY | {name: EMPTY.get(name) if part is None else part}))
        except BaseException:
            kind = part.get("type") if isinstance(part, dict) else None
            named = f" ({kind[:40]})" if isinstance(kind, str) else ""
            return f"its {name}{named} is none that the tokenizers library reads"
    return "its parts do not fit together"


def read_vocabulary(content: bytes, lowercase: bool) -> Reader:
    """The vocab.txt of a BERT, a token a line, tried on a few characters. Errors: Refused."""
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    with in_our_words(lambda: "it is no UTF-8"):
        lines = content.decode().removesuffix("\n").split("\n")
    with in_our_words(lambda: "its lines are no vocabulary, a token each"):
        library = BertWordPieceTokenizer({line.rstrip(): i for i, line in enumerate(lines)}, lowercase=lowercase)
        reader = Reader(Tokenizer.from_str(library.to_str()))
    return _tried(reader)


def _tried(reader: Reader) -> Reader:
    reader.encode(PROBE, None)
    return reader


def _last_id(library: tokenizers.Tokenizer) -> int:
    """The largest id of the model's own tokens, -1 if it has none.

    If n tokens have all the ids from 0 to n - 1, they have no other: known without a copy of the vocabulary.
    """
    n = library.get_vocab_size(with_added_tokens=False)
    if None in map(library.model.id_to_token, range(n)):
        return max(library.get_vocab(with_added_tokens=False).values())
    return n - 1


# ---- as a process of its own -----------------------------------------------------------------------------


def send(out: IO[bytes], message: bytes) -> None:
    """Writes a frame."""
    out.write(len(message).to_bytes(8, "big") + message)
    out.flush()


def receive(source: IO[bytes]) -> bytes:
    """Reads a frame. Errors: EOFError where the other side has ended."""
    head = source.read(8)
    if len(head) < 8:
        raise EOFError
    length = int.from_bytes(head, "big")
    message = source.read(length)
    if len(message) < length:
        raise EOFError
    return message


def give_way() -> None:
    """A low priority for this process, and the first place where memory runs out and one has to be killed."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has each
        os.nice(10)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def limit(memory: int) -> None:
    """Takes limits upon this process: bytes of memory, no files written; and it gives way to others."""
    give_way()
    with contextlib.suppress(ImportError):  # Windows has no such limits: there only time is limited
        import resource

        for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
            resource.setrlimit(what, (most, most))


def answer(reader: Reader, call: str, arguments: list[Any]) -> Any:
    """One call of a `Reader`, as it came in a message."""
    if call not in ("about", "encode", "encode_pair", "decode", "decode_each", "names", "to_json"):
        raise ValueError(call)
    return getattr(reader, call)(*arguments)


def serve(source: IO[bytes], out: IO[bytes], most: int) -> None:
    """Reads a tokenizer, then answers until the other side ends. `most`: bytes of an answer."""
    reader: Reader | None = None
    while True:
        try:
            message = receive(source)
        except EOFError:
            return
        try:
            if reader is None:
                how, content = json.loads(message), receive(source)
                reader = read(content) if how["lowercase"] is None else read_vocabulary(content, how["lowercase"])
                result: Any = reader.about()
            else:
                asked = json.loads(message)
                result = answer(reader, asked["call"], asked["arguments"])
            reply = json.dumps({"result": result}).encode()
        except Refused as error:
            reply = json.dumps({"error": str(error)}).encode()
        except BaseException:  # a panic of the library is no Exception
            reply = json.dumps({"error": "its library gives up on it"}).encode()
        if len(reply) > most:
            reply = json.dumps(
                {"error": f"it makes {len(reply):,} bytes of tokens; at most {most:,} are read"}
            ).encode()
        send(out, reply)


def main() -> None:
    """Arguments: sys.path as JSON, bytes of memory, bytes of an answer."""
    sys.path[:] = json.loads(sys.argv[1])
    import tokenizers  # noqa: F401 -- before the limits: it maps its own code

    limit(int(sys.argv[2]))
    serve(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[3]))


if __name__ == "__main__":
    main()
