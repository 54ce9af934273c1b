"""What a server allows, and how much memory it gives itself: variables of the environment, or lines of a file.

    ATTNVIZ_MAX_STEPS=2000 python -m attnviz serve
    python -m attnviz serve --show-limits

The file is `attnviz.toml` in the working directory, or the one that ATTNVIZ_CONFIG names; the environment goes first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from attnviz.errors import InvalidParameterError
from attnviz.formatting import memory_size

PREFIX = "ATTNVIZ_"
CONFIG = f"{PREFIX}CONFIG"  # names the file
OWN_GROUPS = Path("/proc/self/cgroup")  # control groups of this process: a line for each hierarchy
GROUPS = Path("/sys/fs/cgroup")
PROCESS_BYTES = 490_000_000  # of a server after one reader on all pages, less its models and results
UNKNOWN_MEMORY = 4_000_000_000  # of a machine that does not say

Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]  # 0 switches it off


def _group_limits() -> set[Path]:
    """The files that may limit the memory of this process: of its control group, and of each that this one lies in.

    A container sees its own group as the outermost; a service of systemd is a group within the machine's.
    """
    files = {GROUPS / "memory.max", GROUPS / "memory" / "memory.limit_in_bytes"}  # version 2, version 1
    lines = OWN_GROUPS.read_text("utf-8").splitlines() if OWN_GROUPS.is_file() else []
    for line in lines:  # number:controllers:path
        _, controllers, group = line.split(":", 2)
        names = Path(group.lstrip("/"))
        if not controllers:
            files |= {GROUPS / one / "memory.max" for one in (names, *names.parents)}
        elif "memory" in controllers.split(","):
            files |= {GROUPS / "memory" / one / "memory.limit_in_bytes" for one in (names, *names.parents)}
    return files


def machine_memory() -> int:
    """Bytes that this process may take: the limit of its container or service, or else the machine's memory."""
    known = []
    for path in _group_limits():
        try:
            known.append(int(path.read_text("ascii")))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    if sys.platform != "win32":
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(known, default=UNKNOWN_MEMORY)


def _part(of_memory: int, least: int, most: int) -> Any:
    """A part of `memory_bytes` that is at least and at most so large."""
    return lambda known: max(least, min(most, known.get("memory_bytes", UNKNOWN_MEMORY) // of_memory))


class Limits(BaseSettings):
    """The limits of this server. Errors: pydantic's ValidationError."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    memory_bytes: Count = Field(
        default_factory=machine_memory,
        description="memory for the server (the limit of its container or service, or the machine's)",
    )
    store_bytes: Number = Field(
        default_factory=_part(14, 50_000_000, 120_000_000),
        description="memory for results that all sessions share (a fourteenth of memory_bytes, 50 to 120 MB)",
    )
    models_bytes: Number = Field(
        default_factory=_part(7, 100_000_000, 1_000_000_000),
        description="memory for the models that all sessions share (a seventh of memory_bytes, 100 MB to 1 GB)",
    )
    own_models_bytes: Number = Field(
        default_factory=_part(14, 50_000_000, 1_000_000_000),
        description="memory for those of single sessions, together (a fourteenth of memory_bytes, 50 MB to 1 GB)",
    )
    own_models_share: Number = Field(
        default_factory=lambda known: known.get("own_models_bytes", 0) // 4,
        description="of these, memory for those of one session (a quarter)",
    )
    max_runs: Count = Field(
        # more at once are no faster, for they share Python's lock, and hold more memory
        default_factory=lambda known: max(
            2, min(8, os.cpu_count() or 2, known.get("memory_bytes", UNKNOWN_MEMORY) // 300_000_000)
        ),
        description="pages drawn at a time; the others wait in line (one a core, one for 300 MB of memory; 2 to 8)",
    )
    hub: bool = Field(default=True, description="models by name from the Hugging Face hub")
    hub_token: bool = Field(default=False, description="visitors read what this machine's HF_TOKEN may read")
    max_model_bytes: Number = Field(default=600_000_000, description="bytes of a model from the hub")
    max_downloads: Count = Field(default=2, description="downloads at a time")
    max_upload_bytes: Number = Field(
        default=200_000_000,
        description="bytes of an uploaded archive, and no more than Streamlit's server.maxUploadSize",
    )
    max_characters: Count = Field(default=100_000, description="characters of a text")
    max_text_tokens: int = Field(
        default=2_048, ge=16, description="tokens that a model reads of a text, whatever it could read; the rest is cut"
    )
    max_trainings: Number = Field(default=2, description="trainings at a time, which take turns at all cores but one")
    max_steps: Count = Field(default=10_000, description="steps of a training")
    max_parameters: Count = Field(default=3_000_000, description="parameters of a trained model")
    max_tokens: Count = Field(default=8_192, description="tokens of a training step: batch × length")
    max_weights: Count = Field(default=16_000_000, description="attention weights of a training step")
    max_corpus_bytes: Count = Field(default=2_000_000, description="bytes of a text to train on")
    max_vocabulary: Count = Field(default=4_096, description="tokens of a vocabulary that is trained")
    threads: Count = Field(default=1, description="threads per run: many sessions share the cores")
    metrics_port: Number = Field(default=0, description="port of the figures for Prometheus (0: none)")
    metrics_address: str = Field(default="127.0.0.1", description="address of that port: this machine only")
    frame_ancestors: str = Field(
        default="'none'", description="who may show the app in a frame, in the words of a policy"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())


def config_file() -> Path:
    """Where the file with limits is, if there is one."""
    return Path(os.environ.get(CONFIG, "attnviz.toml"))


def read() -> Limits:
    """The limits as the environment and the file have them. Errors: InvalidParameterError in one sentence."""
    if CONFIG in os.environ and not config_file().is_file():
        raise InvalidParameterError(f"{CONFIG} names the file {config_file()}, which is not there")
    try:
        limits = Limits()
    except ValidationError as error:
        raise InvalidParameterError("; ".join(map(_sentence, error.errors()))) from None
    except ValueError as error:  # a file that is no TOML
        raise InvalidParameterError(f"{config_file()} cannot be read: {error}") from None
    return limits


def _sentence(error: Any) -> str:
    """What is wrong with one limit."""
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{config_file()} has a line “{name}”, which is no limit: see python -m attnviz serve --show-limits"
    return f"the limit {name} cannot be {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def too_much(limits: Limits) -> str:
    """One sentence where the shares of memory are more than the server has; else empty."""
    wanted = PROCESS_BYTES + limits.store_bytes + limits.models_bytes + limits.own_models_bytes
    if wanted <= limits.memory_bytes:
        return ""
    return (
        f"With all its shares of memory full the server takes about {memory_size(wanted)} (the process itself "
        f"{memory_size(PROCESS_BYTES)}), and has {memory_size(limits.memory_bytes)}: lower models_bytes, "
        "own_models_bytes or store_bytes."
    )


def source(limits: Limits, name: str) -> str:
    """Where a limit's value comes from: "environment", "file" or "default"."""
    if name not in limits.model_fields_set:
        return "default"
    return "environment" if (PREFIX + name).upper() in {one.upper() for one in os.environ} else "file"


def default_in_words(name: str) -> str:
    """A limit's default for a table; "–" where it follows from another limit or the machine."""
    default = Limits.model_fields[name].default
    if Limits.model_fields[name].default_factory is not None:
        return "–"
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:,}" if isinstance(default, int) else f"`{default}`"


def unknown() -> list[str]:
    """Variables of the environment that look like limits and are none."""
    known = {PREFIX + name.upper() for name in Limits.model_fields} | {CONFIG}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


LIMITS = read()
