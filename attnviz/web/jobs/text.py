"""The sentences of the work that outlasts one run of a page."""

from __future__ import annotations

from attnviz.formatting import file_size

PLACING_BROKE = "What places the points ended before it was done; this machine may be short of memory."
LOADING = "It has come, and is loaded …"
UPLOAD_BROKE = "The archive could not be read. Whoever runs this server finds the reason in its log."
UPLOAD_CANCELLED = "Cancelled: no model was read from the archive."


def download_progress(done: int, total: int) -> str:
    """Beside the bar: bytes of a download; total is 0 before the hub has answered."""
    return f"{file_size(done)} of {file_size(total)}" if total else "Asking the hub …"


def download_ended(status: str, repo: str, error: str) -> str:
    """How a download ended that brought no model; "" for one that goes on or is done."""
    if status == "cancelled":
        return f"The download of {repo} was cancelled; what has come stays, and it would go on from there."
    return error if status == "failed" else ""


def placing(number: int, steps: int | None, of: int, is_counted: bool) -> str:
    """Beside the bar: how many placings are before this one, or how many steps it has taken."""
    if number:
        return f"{number} before you: points are placed one after the other …"
    if not is_counted:
        return "Isomap is at work; it does not say how far it is …"
    return "scikit-learn is on its way …" if steps is None else f"{steps} of {of} steps …"


def placing_failed(why: str) -> str:
    """A placing that the library ended."""
    return f"These points cannot be placed this way ({why})."


def upload(number: int, seconds: float, most: float) -> str:
    """Beside the bar: how many archives are before this one, or how long it has been read."""
    if number:
        return f"{number} before you: archives are read one after the other …"
    return f"Reading the archive for {seconds:.0f} s; its tokenizer may take {most:.0f} s …"
