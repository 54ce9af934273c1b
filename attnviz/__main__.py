"""The command line: python -m attnviz serve | models | run | report | live | investigate | train | export | bench."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from attnviz.errors import DTypeError, InvalidParameterError, ModelError, ShapeError, TrainingError
from attnviz.inputs import terminal
from attnviz.web import serving


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 1 with one sentence for bad input."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = parser_for(words)
    options = parser.parse_args(words)
    if "image" in options and options.text is None and not (options.image or options.sound):
        parser.error("there is no text, and neither --image nor --sound")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # any token prints, also where the terminal is not UTF-8
    try:
        return int(options.command(options) or 0)
    except (InvalidParameterError, ShapeError, DTypeError, ModelError, TrainingError, OSError) as error:
        terminal.write(f"attnviz: {_sentence(error)}", sys.stderr)
        return 1


def _sentence(error: Exception) -> str:
    """What went wrong; of a file, without the number that the system has for it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename} cannot be opened: {error.strerror}."
    return str(error)


def parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """What reads these words: all commands, but where it is `serve` that one alone, for the others import torch."""
    parser = argparse.ArgumentParser(prog="python -m attnviz", description="Look into transformer attention.")
    commands = parser.add_subparsers(required=True, metavar="command")
    serving.add_to(commands)
    if list(words[:1]) != ["serve"]:
        from attnviz import commands as others

        others.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
