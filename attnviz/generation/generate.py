"""Text from a model in one call: `attnviz.generate(model, "To be or not to be", 20, temperature=0.8)`."""

from __future__ import annotations

from typing import Any

from attnviz.errors import InvalidParameterError
from attnviz.generation.beam_search import beam
from attnviz.generation.sampling import Completion, Sampling, greedy, say
from attnviz.models.model import Model


def generate(
    model: Model,
    text: Any,
    n_tokens: int = 64,
    *,
    temperature: float | None = None,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    n_beams: int = 1,
    length_penalty: float | None = None,
    language: str | None = None,
    task: str | None = None,
    timestamps: bool | None = None,
) -> Completion:
    """What a decoder says after a text, or an encoder-decoder model in answer to it (or to an image or a sound).

    Arguments
        n_tokens: new tokens at most; a model ends before by its own end token, or where its length ends.
        temperature, top_k, top_p: draw each token, as `Sampling` says; with none of them the likeliest is taken.
        seed: of the draws: the same seed gives the same text.
        n_beams: above 1, the best whole answer that a search with so many beams finds, of `length_penalty` as in
            `beam_search.beam`.
        language, task: of Whisper: what is spoken ("de", "german"), and whether to "transcribe" or "translate" it, as
            `Model.speaking`; found out, and as its folder says, by default.
        timestamps: of Whisper: whether the answer says when its parts begin and end; None: as its folder says.

    Returns the new tokens' ids and text, and whether the model ended by itself.
    Errors: InvalidParameterError for a model that predicts no next token, a text that leaves no room, or beams that
    are to be drawn. `sampling.tokens` gives the tokens one by one, each with the run behind it.
    """
    model = model.speaking(language, task, timestamps)
    draws = temperature is not None or bool(top_k) or top_p != 1
    if n_beams != 1:
        if draws:
            raise InvalidParameterError(f"n_beams={n_beams} searches for the likeliest answer: nothing is drawn then")
        return beam(model, text, n_beams, n_tokens, length_penalty=length_penalty)[0]
    sampling = Sampling(1.0 if temperature is None else temperature, top_k, top_p) if draws else None
    return say(model, text, n_tokens, sampling, seed)


generate.greedy = greedy  # type: ignore[attr-defined]  # programs were written for a module of this name
generate.beam = beam  # type: ignore[attr-defined]
