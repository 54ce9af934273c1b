"""A repository of the Hugging Face hub into the local cache: only data, checked against a limit before it comes.

HF_HOME says where the cache is, HF_HUB_OFFLINE that nobody is asked; what is in the cache serves without a network.
"""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from attnviz.errors import ModelError, check_installed
from attnviz.inputs.images import FILE
from attnviz.models import strangers
from attnviz.models.safetensors_io import BYTES_PER_NUMBER, MAX_FILE_BYTES, MAX_JSON_BYTES, weight_files

DEADLINE = 5.0  # seconds until a hub that does not answer is given up: with imports, below 10 on a busy machine
CARD = "README.md"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a user's share of it, or what a file may have
FILES = (  # all that is read of a repository, or of an archive
    "config.json",
    FILE,
    "tokenizer.json",
    "vocab.txt",
    "tokenizer_config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    CARD,
)

Report = Callable[[int, int], None]  # bytes that are there, bytes in all; called often, and may raise Cancelled
T = TypeVar("T")


class Cancelled(ModelError):
    """Somebody stopped a download. What has come stays in the cache, and the next one goes on from there."""


def is_read(name: str) -> bool:
    """Whether a file of a repository, by its name, is one of those that are read."""
    return "/" not in name and any(fnmatch(name, pattern) for pattern in FILES)


def check_name(repo: str) -> None:
    """Errors: ModelError unless it is of the form org/name."""
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise ModelError(f"hf:{repo} is not of the form hf:org/name.")


def fetch(repo: str, max_bytes: int = MAX_FILE_BYTES, report: Report | None = None) -> Path:
    """The folder in the local cache with a repository's config, tokenizer and safetensors.

    max_bytes: of the weights, as files and as float32 in memory. Errors: ModelError in one sentence.
    """
    strangers.check_online(repo)
    check_installed(f"The download of {repo}", "huggingface_hub")
    watch_requests()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        return _fetch(repo, max_bytes, report or (lambda done, total: None), strangers.token())
    except GatedRepoError:
        raise ModelError(f"{repo} is gated: its owner has to grant access on the hub first.") from None
    except RepositoryNotFoundError:
        raise ModelError(f"{repo} is not on the Hugging Face hub, or is private.") from None
    except HFValidationError:
        raise ModelError(f"{repo:.100} is no name that a repository of the hub can have.") from None
    except ModelError:
        raise
    except Exception as error:  # no network, HF_HUB_OFFLINE, a broken download: what was cached still serves
        if isinstance(error, OSError) and error.errno in FULL:
            raise ModelError(f"There is no room left on the disk for {repo}.") from None
        try:
            folder = Path(snapshot_download(repo, allow_patterns=list(FILES), local_files_only=True))
            weight_files(folder)  # what a download that broke off leaves has none
            return folder
        except Exception:
            why = "HF_HUB_OFFLINE is set" if isinstance(error, OfflineModeIsEnabled) else _unreached(error)
            raise ModelError(
                f"The Hugging Face hub cannot be reached ({why}) and {repo} is not in the local cache."
            ) from None


def _unreached(error: Exception) -> str:
    """Why the hub gave no files, from the error of its client, whose releases come from two packages."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return f"it answers with status {status}"
    if kinds & {"TimeoutException", "TimeoutError"}:
        return "it does not answer in time"
    return "there is no connection" if kinds & {"ConnectError", "ConnectionError"} else "the download broke off"


@cache
def watch_requests() -> None:
    """From now on huggingface_hub asks nobody for what loads an archive from a stranger, whatever its config names."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def client() -> Any:
        made = default_client_factory()
        check = [lambda request: strangers.check_online(f"What lies at {request.url.host}")]
        made.event_hooks = {**made.event_hooks, "request": check + made.event_hooks["request"]}
        return made

    set_client_factory(client)


def _fetch(repo: str, max_bytes: int, report: Report, token: bool | None) -> Path:
    """Asks the hub for the files at the top of a repository, each request with a timeout."""
    from huggingface_hub import HfApi, constants, hf_hub_download
    from huggingface_hub import ModelInfo as RepoInfo

    constants.HF_HUB_DISABLE_XET = True  # its own way of downloading can neither be counted nor stopped

    def ask() -> RepoInfo:
        info = HfApi(token=token).model_info(repo, timeout=DEADLINE, files_metadata=True)
        if any(file.rfilename == "config.json" for file in info.siblings or ()):  # the small one first
            # by no revision: the cache remembers the newest
            hf_hub_download(repo, "config.json", etag_timeout=DEADLINE, token=token)
        return info

    info = _within(DEADLINE, ask)
    wanted = {file.rfilename: file.size or 0 for file in info.siblings or () if is_read(file.rfilename)}
    _check(repo, wanted, getattr(info, "safetensors", None), max_bytes)
    total, done = sum(wanted.values()), 0
    files = []
    for name in sorted(wanted):
        report(done, total)

        def tell(n: int, name: str = name, before: int = done) -> None:
            most = wanted[name] or MAX_JSON_BYTES  # of weights the hub has said it
            if n > most:
                raise ModelError(f"{name} of {repo} is larger than the {most:,} bytes that the hub said it has.")
            report(before + n, total)

        asked = {"revision": info.sha, "etag_timeout": DEADLINE, "tqdm_class": _bar(tell), "token": token}
        files.append(hf_hub_download(repo, name, **asked))
        done += wanted[name]
    report(done, total)
    return Path(files[0]).parent


def _check(repo: str, wanted: dict[str, int], stored: Any, max_bytes: int) -> None:
    """Errors: ModelError for a repository without weights, or with more than there is room for.

    stored: what the hub says of the weights, `total` being how many numbers they are; None if it says nothing.
    """
    size = sum(n for name, n in wanted.items() if name.endswith(".safetensors"))
    if size == 0:
        raise ModelError(f"{repo} has no safetensors weights; other formats are not read.")
    if size > max_bytes:
        raise ModelError(f"{repo} takes {size:,} bytes, more than the {max_bytes:,} allowed here.")
    numbers = getattr(stored, "total", None) or 0
    if numbers * BYTES_PER_NUMBER > max_bytes:
        raise ModelError(
            f"{repo} has {numbers:,} parameters: {numbers * BYTES_PER_NUMBER:,} bytes of memory as float32, more than "
            f"the {max_bytes:,} allowed here."
        )
    for name, n in wanted.items():
        if n > MAX_JSON_BYTES and not name.endswith(".safetensors"):
            raise ModelError(f"{name} of {repo} has {n:,} bytes; at most {MAX_JSON_BYTES:,} are read.")


def _bar(tell: Callable[[int], None]) -> Any:
    """What huggingface_hub takes for a progress bar's class: it tells how many bytes of the file are there."""

    class Bar:
        def __init__(self, **options: Any) -> None:
            self.n = options.get("initial") or 0  # what an earlier, stopped download left

        def update(self, more: float = 1) -> None:
            self.n += int(more)
            tell(self.n)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *error: object) -> None:
            pass

    return Bar


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """What `ask` returns or raises. Errors: TimeoutError if it takes longer: its library retries on its own."""
    answers: queue.SimpleQueue[T | Exception] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put(ask())
        except Exception as error:  # raised again below, in the thread that waits
            answers.put(error)

    threading.Thread(target=answer, daemon=True).start()
    try:
        result = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds} s") from None
    if isinstance(result, Exception):
        raise result
    return result
