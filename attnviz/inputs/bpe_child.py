"""A byte-pair encoding of a long text, learned in a process of its own: asked here, or answered as a script.

Its library merges a long text in one call, which nothing interrupts: 2 MB without blanks take 13 seconds. A process can
be ended at any moment, and what merging takes of memory goes with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from subprocess import PIPE
from typing import Any

LONG = 200_000  # characters, from which on a process is worth its start: two tenths of a second
POLL = 0.05  # seconds between two looks at whether somebody asks for the end
KEPT_OF_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")


def trained(texts: Sequence[str], between: Callable[[], object], **how: Any) -> str:
    """The tokenizer.json that `Tokenizer.train_bpe(texts, **how)` makes; `between` ends it at once by what it raises.

    Errors: InvalidParameterError, what the library says of the texts, or that the process broke.
    """
    from attnviz.errors import InvalidParameterError

    environment = {name: os.environ[name] for name in KEPT_OF_ENVIRONMENT if name in os.environ}
    command = [sys.executable, "-I", str(Path(__file__)), json.dumps(sys.path)]
    request = json.dumps({"texts": texts, **how}).encode()
    with (
        subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=subprocess.DEVNULL, env=environment) as process,
        ThreadPoolExecutor(1) as beside,
    ):
        written = beside.submit(process.communicate, request)
        try:
            while not wait([written], POLL).done:
                between()
        except BaseException:
            process.kill()
            raise
    answer = json.loads(written.result()[0] or b'{"error": "its process was killed, or memory ran out"}')
    if "error" in answer:
        raise InvalidParameterError(f"No tokenizer can be learned from this text: {answer['error'].rstrip('.')}.")
    return str(answer["tokenizer"])


# ---- as a process of its own -----------------------------------------------------------------------------


def main() -> None:
    """Answers one request, in JSON. Argument: sys.path as JSON."""
    sys.path[:] = json.loads(sys.argv[1])
    from attnviz.errors import InvalidParameterError
    from attnviz.inputs.tokenizer_child import give_way
    from attnviz.inputs.tokenizers import Tokenizer

    give_way()
    try:
        answer = {"tokenizer": Tokenizer.train_bpe(**json.load(sys.stdin)).to_json()}
    except InvalidParameterError as error:
        answer = {"error": str(error)}
    except UnicodeEncodeError as error:
        answer = {"error": f"it holds a lone surrogate, U+{ord(error.object[error.start]):04X}, which is no character"}
    except BaseException:  # a panic of the library is no Exception
        answer = {"error": "the library that learns it gives up on it"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
