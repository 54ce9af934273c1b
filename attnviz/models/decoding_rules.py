"""How a model's answers begin, go on and end: what generation_config.json says, or config.json in older folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from attnviz.errors import ModelError
from attnviz.models.safetensors_io import read_json

FILE = "generation_config.json"
MOST = 100_000  # tokens that a list may name


def _rule(name: str, read: Callable[[Any], Any], default: Any) -> Any:
    """A field that stands under another name in the file, and how its value is read; ValueError: it is no such."""
    return field(default=default, metadata={"name": name, "read": read})


def _id(value: Any) -> int:
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _ids(value: Any) -> tuple[int, ...]:
    found = value if isinstance(value, list) else [value]
    if len(found) > MOST:
        raise ValueError
    return tuple(_id(one) for one in found)


def _places(value: Any) -> tuple[tuple[int, ...], ...]:
    """Pairs of a place and its token; one without a token, as Whisper's language, forces nothing."""
    if not isinstance(value, list):
        raise ValueError
    return _lists([pair for pair in value if not (isinstance(pair, list) and len(pair) == 2 and pair[1] is None)])


def _lists(value: Any) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list) or len(value) > MOST:
        raise ValueError
    return tuple(_ids(one) for one in value if one)


def _factor(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ValueError
    return float(value)


def _power(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e3:
        raise ValueError
    return float(value)


def _biases(value: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    """Pairs of a run of tokens and what is added to the score of its last one, where the others stand before."""
    if not isinstance(value, list) or len(value) > MOST:
        raise ValueError
    found: dict[tuple[int, ...], float] = {}
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], list) or not pair[0]:
            raise ValueError
        found[_ids(pair[0])] = float("-inf") if pair[1] == float("-inf") else _finite(pair[1])
    return tuple(found.items())


def _decay(value: Any) -> tuple[int, float]:
    """After how many tokens an end gains, and by which factor with each token more."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    return _id(value[0]), _factor(value[1])


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ValueError
    return float(value)


def _strings(value: Any) -> tuple[str, ...]:
    found = value if isinstance(value, list) else [value]
    if len(found) > MOST or not all(isinstance(one, str) and one.encode() for one in found):  # lone surrogates: no text
        raise ValueError
    return tuple(found)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _stopping(value: Any) -> bool | str:
    if value not in (True, False, "never"):
        raise ValueError
    return value


@dataclass(frozen=True)
class Watermark:
    """Names and meanings are those of transformers' WatermarkingConfig. Errors: ValueError."""

    ratio: float = 0.25  # of the tokens are green
    bias: float = 2.0  # on their scores
    key: int = 15_485_863
    scheme: str = "lefthash"  # or "selfhash"
    width: int = 1  # tokens that decide which are green

    def __post_init__(self) -> None:
        schemes = ("lefthash", "selfhash")
        if not (self.ratio < 1 and self.scheme in schemes and 0 < self.width < MOST and self.key < 2**63):
            raise ValueError


MARKS = {"greenlist_ratio": "ratio", "bias": "bias", "hashing_key": "key", "seeding_scheme": "scheme"}
MARKS |= {"context_width": "width"}


def _watermark(value: Any) -> Watermark:
    if not isinstance(value, dict) or not set(value) <= set(MARKS):
        raise ValueError
    reads = {"greenlist_ratio": _factor, "bias": _finite, "hashing_key": _id, "context_width": _id}
    found: dict[str, Any] = {MARKS[name]: reads.get(name, str)(one) for name, one in value.items()}
    return Watermark(**found)


@dataclass(frozen=True)
class DecodingRules:
    """What holds for every answer of a model, in greedy decoding, sampling and beam search alike.

    Names and meanings are those of transformers' GenerationConfig.
    """

    ends: tuple[int, ...] = _rule("eos_token_id", _ids, ())  # the tokens that end a text; (): the tokenizer's
    first: int | None = _rule("forced_bos_token_id", _id, None)  # what an answer begins with: a language, say
    last: int | None = _rule("forced_eos_token_id", _id, None)  # what the last place of a full answer holds
    forced: tuple[tuple[int, ...], ...] = _rule("forced_decoder_ids", _places, ())  # (place, token) pairs
    suppressed: tuple[int, ...] = _rule("suppress_tokens", _ids, ())
    not_first: tuple[int, ...] = _rule("begin_suppress_tokens", _ids, ())
    bad_words: tuple[tuple[int, ...], ...] = _rule("bad_words_ids", _lists, ())
    biases: tuple[tuple[tuple[int, ...], float], ...] = _rule("sequence_bias", _biases, ())
    no_repeat: int = _rule("no_repeat_ngram_size", _id, 0)  # so many tokens in a row come only once
    no_copy: int = _rule("encoder_no_repeat_ngram_size", _id, 0)  # nor if what is read has them
    repetition: float = _rule("repetition_penalty", _factor, 1.0)
    source_repetition: float = _rule("encoder_repetition_penalty", _factor, 1.0)  # above 1 favours what was read
    end_gains: tuple[int, float] | None = _rule("exponential_decay_length_penalty", _decay, None)
    renormalized: bool = _rule("renormalize_logits", _truth, False)  # log p again, which beams add up
    watermark: Watermark | None = _rule("watermarking_config", _watermark, None)  # noqa: RUF009
    guidance: float = _rule("guidance_scale", _power, 1.0)  # away from what would be said without the prompt
    stops: tuple[str, ...] = _rule("stop_strings", _strings, ())  # an answer ends where one of them does
    shortest: int = _rule("min_length", _id, 0)  # tokens before an end, those of the prompt counted
    shortest_answer: int = _rule("min_new_tokens", _id, 0)
    length_penalty: float = _rule("length_penalty", _power, 1.0)  # of beam search
    early_stopping: bool | str = _rule("early_stopping", _stopping, False)  # likewise

    @property
    def nothing(self) -> bool:
        """Whether no token is forced, forbidden or weighed otherwise."""
        weighing = ("ends", "stops", "guidance", "length_penalty", "early_stopping")
        return all(getattr(self, one.name) == one.default for one in fields(self) if one.name not in weighing)


def rules_of(folder: Path) -> DecodingRules:
    """What a folder says of decoding. Errors: ModelError for a value that is none of its kind."""
    config = read_json(folder / "config.json")
    own = read_json(folder / FILE) if (folder / FILE).exists() else config
    text = config.get("text_config")
    places = [own, config, *([text] if isinstance(text, dict) else [])]
    found: dict[str, Any] = {}
    for one in fields(DecodingRules):
        name, read = one.metadata["name"], one.metadata["read"]
        for place in places if one.name == "ends" else places[:1]:
            if place.get(name) is None:
                continue
            try:
                found[one.name] = read(place[name])
            except ValueError:
                raise ModelError(f"{FILE} of {folder.name} says {name}={place[name]!r:.60}, which is none.") from None
            break
    return DecodingRules(**found)
