"""python -m attnviz run and report: a model's run on a text, an image or a sound, as the command line asks for it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from attnviz.errors import InvalidParameterError
from attnviz.generation import sampling
from attnviz.models.hf_spoken import TASKS
from attnviz.models.model import Model
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a run is given beside a text and a model."""
    parser.add_argument("--image", type=Path, metavar="FILE", help="a PNG or JPEG, for a model that reads images")
    parser.add_argument("--sound", type=Path, metavar="FILE", help="a WAV or FLAC, for a model that reads sounds")
    whose = "of an encoder-decoder model; what the model says itself if this is not given"
    parser.add_argument("--target", help=f"the decoder's text, {whose}")
    parser.add_argument("--language", help="what Whisper hears, such as de or german; else it finds out")
    parser.add_argument("--task", choices=TASKS, help="of Whisper: write down what is said, or put it into English")
    parser.add_argument("--timestamps", action="store_true", help="of Whisper: when each part begins and ends, too")


def trace(model: Model, text: str | None, options: argparse.Namespace, change: Intervention) -> Trace:
    """Errors: InvalidParameterError for what the model does not read."""
    model = model.speaking(options.language, options.task, options.timestamps or None)
    if options.sound:
        if text is not None or model.reads != "sound":
            with_text = " with a text" * bool(text)
            raise InvalidParameterError(f"{model.info.title} reads {model.reads}s, no sound{with_text}")
        return _answered(model, options.sound.read_bytes(), options.target, change)
    if not options.image:
        return _answered(model, text, options.target, change)
    image = options.image.read_bytes()
    if text is not None:
        return model.run(text, options.target, intervention=change, image=image)
    if model.reads != "image":
        raise InvalidParameterError(f"{model.info.title} reads {model.reads}s, no image alone")
    return _answered(model, image, options.target, change)


def _answered(model: Model, given: Any, target: str | None, change: Intervention) -> Trace:
    """A run; of an encoder-decoder model without a target, with what it says by itself."""
    config = model.transformer.config
    if given is None or target is not None or config.kind != "encoder-decoder" or config.head != "lm":
        return model.run(given, target, intervention=change)
    said = sampling.greedy(model, given).ids
    return sampling.whole(model, sampling.prompt(model, given), said, change)
