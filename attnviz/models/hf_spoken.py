"""How an answer of Whisper begins: a start, a language, what is to be done, and whether times are written.

The language and the task are tokens (Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision",
section 2.3). Which are put before an answer is worked out as in transformers' generate, from generation_config.json; a
language that nobody names is the likeliest after the start token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attnviz.errors import InvalidParameterError, ModelError
from attnviz.models.decoding_rules import FILE, MOST
from attnviz.models.hf_config import HFConfig
from attnviz.models.safetensors_io import read_json
from attnviz.nn.config import ModelConfig

TASKS = ("transcribe", "translate")


@dataclass(frozen=True)
class Times:
    """Which tokens of a vocabulary are times; all of them stand at its end."""

    begin: int  # the token of 0.00 s
    end: int  # the token that ends a text, before which no special token stands
    latest: int | None = None  # how many steps after 0.00 s an answer may begin at most


@dataclass(frozen=True)
class SpokenStart:
    """What generation_config.json says of it, and what was asked for. Ids are tokens'."""

    languages: Mapping[str, int] = field(default_factory=dict)  # such as "<|en|>"; {}: of one language only
    tasks: Mapping[str, int] = field(default_factory=dict)
    no_timestamps: int | None = None
    multilingual: bool = True
    forced: tuple[int | None, ...] = ()  # after the start, in older folders; None: the language is to be found out
    language: str | None = None
    task: str | None = None
    timestamps: bool = False  # whether an answer says when its parts begin and end
    latest: int | None = None  # how many steps of time an answer begins after at most

    def timed(self, timestamps: bool) -> SpokenStart:
        """The same with times in its answers, or without. Errors: InvalidParameterError."""
        if timestamps and self.no_timestamps is None:
            raise InvalidParameterError(f"The {FILE} of this model names no no_timestamps_token_id: it writes no times")
        return replace(self, timestamps=timestamps)

    def times(self, ends: Sequence[int]) -> Times | None:
        """What tokens of an answer are times, if it is to have some."""
        if not self.timestamps or self.no_timestamps is None or not ends:
            return None
        return Times(self.no_timestamps + 1, ends[0], self.latest)

    def asked(self, language: str | None, task: str | None) -> SpokenStart:
        """The same with a language (a code or an English name) or a task. Errors: InvalidParameterError."""
        if language is None and task is None:
            return self
        if not self.multilingual:
            raise InvalidParameterError("This model hears one language only: it is told no language and no task")
        if not (self.languages if language is not None else self.tasks):
            what = "languages" if language is not None else "tasks"
            raise InvalidParameterError(f"The {FILE} of this model names no {what} that it could be told")
        if task is not None and not (task in TASKS and task in self.tasks):
            known = ", ".join(one for one in TASKS if one in self.tasks)
            raise InvalidParameterError(f"task={task!r:.60} is none that this model knows: {known}")
        if language is not None:
            self._language_id(language)
        return replace(self, language=self.language if language is None else language, task=task or self.task)

    def begins(self, start: int, detect: Callable[[tuple[int, ...]], int]) -> tuple[int, ...]:
        """The tokens before an answer; `detect` gives the likeliest of some tokens after the start token."""
        ids: list[int | None] = [start]
        if self.language is None and self.task is None:
            ids += self.forced
        found: int | None = None
        if self.language is not None:
            found = self._language_id(self.language)
        elif self.languages and (len(ids) == 1 or ids[1] is None):
            found = detect(tuple(self.languages.values()))
        if found is not None:
            ids[1:2] = [found]
        if self.task is not None:
            ids.append(self.tasks[self.task])
        elif self.language is not None and self.tasks:
            ids.append(self.tasks["transcribe"])
        if self.no_timestamps is not None and (ids[-1] == self.no_timestamps) == self.timestamps:
            ids = ids[:-1] if self.timestamps else [*ids, self.no_timestamps]
        return tuple(token for token in ids if token is not None)

    def _language_id(self, language: str) -> int:
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        name = str(language).lower()
        code = TO_LANGUAGE_CODE.get(name, name)
        for token in (name, f"<|{code}|>"):
            if token in self.languages:
                return self.languages[token]
        known = sorted(token.strip("<|>") for token in self.languages)
        shown = f"{', '.join(known[:12])}{f' and {len(known) - 12} more' if len(known) > 12 else ''}"
        raise InvalidParameterError(f"language={language!r:.60} is none that this model knows: {shown}")


def spoken_start(folder: Path, shape: ModelConfig) -> SpokenStart | None:
    """What the folder of a Whisper says of how its answers begin; None of other models. Errors: ModelError."""
    if not isinstance(shape, HFConfig) or shape.architecture != "whisper" or shape.kind != "encoder-decoder":
        return None
    config = read_json(folder / "config.json")
    given = read_json(folder / FILE) if (folder / FILE).exists() else {}

    def wrong(name: str) -> ModelError:
        return ModelError(f"{FILE} of {folder.name} says {name}={given.get(name)!r:.60}, which is none.")

    def token(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < shape.vocab_size:
            raise wrong(name)
        return value

    def table(name: str) -> dict[str, int]:
        value = given.get(name) or {}
        if not isinstance(value, dict) or len(value) > MOST:
            raise wrong(name)
        return {str(key): token(name, one) for key, one in value.items()}

    languages, tasks = table("lang_to_id"), table("task_to_id")
    forced = given.get("forced_decoder_ids") or config.get("forced_decoder_ids") or []
    try:
        places = [(place, one if one is None else token("forced_decoder_ids", one)) for place, one in forced]
    except (TypeError, ValueError):
        raise wrong("forced_decoder_ids") from None
    if places and places[0][0] == 1 and [place for place, _ in places] != list(range(1, len(places) + 1)):
        raise wrong("forced_decoder_ids")
    last, latest = given.get("no_timestamps_token_id"), given.get("max_initial_timestamp_index")
    timestamps = given.get("return_timestamps") or False
    if not isinstance(timestamps, bool):
        raise wrong("return_timestamps")
    start = SpokenStart(
        languages,
        tasks,
        None if last is None else token("no_timestamps_token_id", last),
        given.get("is_multilingual", True) is not False,
        tuple(one for _, one in places) if places and places[0][0] == 1 else (),
        latest=None if latest is None else token("max_initial_timestamp_index", latest),
    )
    language, task = given.get("language"), given.get("task")
    try:
        return start.asked(language or None, task or None).timed(timestamps)
    except InvalidParameterError as error:
        raise ModelError(f"{FILE} of {folder.name} cannot be used: {error}.") from None
