"""A model's folder as a .zip from a stranger: unpacked into a folder of its own that is gone afterwards.

What an archive says of itself is never believed: names are checked before anything is written, bytes are counted while
they are unpacked, and only the few files that a model is read from are unpacked at all. Nothing in it is ever run.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from attnviz.errors import ModelError
from attnviz.inputs.images import FILE
from attnviz.inputs.temporary import temporary_folder
from attnviz.models.hf_download import is_read
from attnviz.models.safetensors_io import MAX_FILE_BYTES, MAX_JSON_BYTES

MAX_FILES = 200
MAX_NAME = 200  # characters
MAX_LIST = 200_000  # bytes of an archive's list of files, before it is taken apart
MAX_RATIO = 100  # times as large as the archive: weights shrink by a few per cent, texts to a tenth
PIECE = 1 << 18  # bytes that are unpacked at a time
RUNNABLE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack", ".py")  # weights as code, and code
PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


@contextmanager
def unpacked(data: bytes, max_bytes: int = MAX_FILE_BYTES) -> Iterator[Path]:
    """A folder with an archive's model, for as long as the block lasts.

    max_bytes: of all files together, unpacked. Errors: ModelError in one sentence; then nothing is left either.
    """
    with temporary_folder() as place:
        folder = Path(place) / "upload"
        folder.mkdir()
        try:
            with zipfile.ZipFile(_Archive(data)) as archive:
                _unpack(archive, wanted(archive.infolist()), folder, min(max_bytes, MAX_RATIO * len(data)))
        except ModelError:
            raise
        except OSError as error:  # the disk
            raise ModelError(f"The archive cannot be unpacked here: {error.strerror}.") from None
        except Exception:  # zipfile and zlib raise many kinds on what is broken
            what = "an archive that is cut off or broken" if data[:4] == b"PK\3\4" else "no .zip archive"
            raise ModelError(f"This is {what}.") from None
        try:
            yield folder
        except ModelError as error:  # where the folder was is of no use to anybody
            raise ModelError(str(error).replace(f"{folder}{os.sep}", "").replace(str(folder), "the archive")) from None


class _Archive(io.BytesIO):
    """Hands out no more at once than the list of as many files as are taken."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = len(self.getbuffer()) - self.tell()
        asked = left if size is None or size < 0 else min(size, left)
        if asked > max(MAX_LIST, PIECE):
            raise ModelError(f"The archive's list of files has {asked:,} bytes; at most {MAX_FILES} files are read.")
        return super().read(asked)


def wanted(files: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The files that a model is read from, by their name in its folder: all at the top, or all in one folder.

    Errors: ModelError for names that lead out of the folder, links, locks, and what is no model.
    """
    if len(files) > MAX_FILES:
        raise ModelError(f"The archive holds {len(files):,} files; at most {MAX_FILES} are read.")
    paths: dict[str, zipfile.ZipInfo] = {}
    for file in files:
        _check(file)
        path = str(PurePosixPath(file.filename))
        if path.casefold() in (known.casefold() for known in paths):
            raise ModelError(f"The archive holds {_shown(path)} twice.")
        if not file.is_dir() and not _is_litter(path):
            paths[path] = file
    if not paths:
        raise ModelError("The archive is empty.")
    tops = {path.partition("/")[0] if "/" in path else "" for path in paths}
    inside = f"{tops.pop()}/" if len(tops) == 1 and "" not in tops else ""
    files_by_name = {path.removeprefix(inside): file for path, file in paths.items()}
    _check_model(files_by_name)
    return {name: file for name, file in files_by_name.items() if is_read(name)}


def _check(file: zipfile.ZipInfo) -> None:
    """Errors: ModelError for a file that no honest archive of a model holds."""
    name = file.filename
    mode = file.external_attr >> 16
    parts = name.rstrip("/").split("/")
    if len(name) > MAX_NAME:
        raise ModelError(f"A file's name in the archive has {len(name):,} characters; at most {MAX_NAME} are read.")
    if any(part in ("", ".", "..") for part in parts) or ":" in name or "\\" in name or not name.isprintable():
        raise ModelError(f"The archive holds {_shown(name)}, a name that leads out of its folder.")
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ModelError(f"The archive holds {_shown(name)}, a link and no file.")
    if file.flag_bits & 0x1:
        raise ModelError("The archive is encrypted: pack it without a password.")
    if file.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelError(f"{_shown(name)} is compressed in a way that is not read here: pack it as an ordinary .zip.")


def _check_model(files: dict[str, zipfile.ZipInfo]) -> None:
    """Errors: ModelError that says which part of a model is not there."""
    if not any(is_read(name) and name.endswith(".safetensors") for name in files):
        reason = "The archive holds no .safetensors file"
        if other := next((name for name in files if name.lower().endswith(RUNNABLE)), None):
            raise ModelError(f"{reason}, but {_shown(other)}, which could run code and is never opened.")
        if other := next((name for name in files if name.lower().endswith(PACKED)), None):
            raise ModelError(f"{reason}, but another archive, {_shown(other)}: unpack that first.")
        if deep := next((name for name in files if name.endswith(".safetensors")), None):
            raise ModelError(f"{reason} at its top; pack the folder of {_shown(deep)} alone.")
        raise ModelError(f"{reason}.")
    if "config.json" not in files:
        raise ModelError("The archive holds no config.json beside its weights.")
    if not files.keys() & {"tokenizer.json", "vocab.txt", FILE}:
        raise ModelError(f"The archive holds no tokenizer.json, and no {FILE} of a model of images.")


def _unpack(archive: zipfile.ZipFile, files: dict[str, zipfile.ZipInfo], folder: Path, most: int) -> None:
    """Writes the files, counting. Errors: ModelError as soon as they are more than `most` bytes."""
    total = 0
    for name, file in files.items():
        whole, size = name.endswith(".safetensors"), 0
        with archive.open(file) as packed, (folder / name).open("wb") as out:
            while piece := packed.read(PIECE):
                total, size = total + len(piece), size + len(piece)
                if total > most:
                    raise ModelError(f"The archive unpacks to more than the {most:,} bytes allowed.")
                if size > MAX_JSON_BYTES and not whole:
                    raise ModelError(f"{name} unpacks to more than the {MAX_JSON_BYTES:,} bytes that are read of it.")
                out.write(piece)


def _is_litter(path: str) -> bool:
    """What macOS puts beside the files."""
    return path.startswith("__MACOSX/") or path.endswith(".DS_Store")


def _shown(name: str) -> str:
    """A stranger's name, for a sentence."""
    return "“" + "".join(c if c.isprintable() else "?" for c in name[:80]) + "”"
