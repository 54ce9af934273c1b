"""The sentences of the work that outlasts one run of a page."""

from __future__ import annotations

from attnviz.formatting import file_size


def download_progress(done: int, total: int) -> str:
    """Beside the bar: bytes of a download; total is 0 before the hub has answered."""
    return f"{file_size(done)} of {file_size(total)}" if total else "Asking the hub …"


def download_ended(status: str, repo: str, error: str) -> str:
    """How a download ended that brought no model; "" for one that goes on or is done."""
    if status == "cancelled":
        return f"The download of {repo} was cancelled; what has come stays, and it would go on from there."
    return error if status == "failed" else ""
