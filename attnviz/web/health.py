"""Whether the server can do its work: `/healthz` runs a model, where `/_stcore/health` only says that it is there."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

import attnviz
from attnviz.web import first_paint

MODEL = "scratch:test"
TEXT = "Is anybody there?"
FRESH = 2.0  # seconds that an answer stands for: asking often costs nothing


@dataclass
class Answer:
    """What the last run of the model said."""

    status: int = 0
    milliseconds: float = 0.0
    at: float = -FRESH


_last = Answer()
_lock = threading.Lock()


def check() -> Answer:
    """Runs a small model, at most every two seconds. Status 200, or 503 where its weights are no weights."""
    global _last
    with _lock:
        began = time.monotonic()
        if began - _last.at < FRESH:
            return _last
        try:
            first_paint.load()
            weights = attnviz.load(MODEL).run(TEXT).layers[0].attention.weights
            fine = bool(((weights.sum(-1) - 1).abs() < 1e-4).all())
        except Exception:  # whatever it is, the server is not well
            fine = False
        _last = Answer(200 if fine else 503, 1000 * (time.monotonic() - began), time.monotonic())
        return _last


async def healthz(request: Request) -> JSONResponse:
    """The route."""
    answer = await run_in_threadpool(check)
    said = {"status": "ok" if answer.status == 200 else "failing", "milliseconds": round(answer.milliseconds, 1)}
    return JSONResponse(said, status_code=answer.status, headers={"Cache-Control": "no-store"})
