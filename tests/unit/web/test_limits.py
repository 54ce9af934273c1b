"""A server's limits: from the environment, from a file, in one sentence where they are wrong."""

import re
from pathlib import Path

import pytest

from attnviz.errors import InvalidParameterError
from attnviz.web import limits

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "attnviz.toml").write_text("max_steps = 20\nmax_trainings = 0\n")
    monkeypatch.setenv("ATTNVIZ_MAX_STEPS", "30")
    read = limits.read()
    assert (read.max_steps, read.max_trainings, read.max_downloads) == (30, 0, 2)
    names = ("max_steps", "max_trainings", "max_downloads")
    assert [limits.source(read, name) for name in names] == ["environment", "file", "default"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MAX_STEPS", "many", r"the limit max_steps cannot be 'many': input should be a valid integer"),
        ("MAX_STEPS", "-1", r"the limit max_steps cannot be '-1': input should be greater than or equal to 1"),
        ("HUB", "perhaps", r"the limit hub cannot be 'perhaps': input should be a valid boolean"),
    ],
)
def test_a_wrong_value_is_said(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(f"ATTNVIZ_{name}", value)
    with pytest.raises(InvalidParameterError, match=sentence):
        limits.read()


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("max_step = 3\n", "has a line “max_step”, which is no limit"),
        ("max_steps 3\n", "cannot be read: Expected '='"),
        ("max_steps = 0\n", "the limit max_steps cannot be 0"),
    ],
)
def test_a_wrong_file_is_said(tmp_path: Path, file: str, sentence: str) -> None:
    (tmp_path / "attnviz.toml").write_text(file)
    with pytest.raises(InvalidParameterError, match=sentence):
        limits.read()


def test_a_file_that_is_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNVIZ_CONFIG", "nowhere.toml")
    with pytest.raises(InvalidParameterError, match=r"names the file nowhere\.toml, which is not there"):
        limits.read()


def test_a_small_host_gets_small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNVIZ_MEMORY_BYTES", "690000000")
    read = limits.read()
    shares = (read.store_bytes, read.models_bytes, read.own_models_bytes, read.own_models_share)
    assert shares == (50_000_000, 100_000_000, 50_000_000, 12_500_000)


@pytest.mark.parametrize("memory_bytes", [690_000_000, 1_000_000_000, 2_700_000_000, 64_000_000_000])
def test_all_shares_and_the_process_fit_the_memory(monkeypatch: pytest.MonkeyPatch, memory_bytes: int) -> None:
    monkeypatch.setenv("ATTNVIZ_MEMORY_BYTES", str(memory_bytes))
    read = limits.read()
    shares = read.store_bytes + read.models_bytes + read.own_models_bytes
    assert limits.PROCESS_BYTES + shares <= memory_bytes
    assert limits.too_much(read) == ""


def test_what_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNVIZ_MEMORY_BYTES", "600000000")
    assert "has 572\N{NARROW NO-BREAK SPACE}MiB: lower models_bytes" in limits.too_much(limits.read())


@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("0::/\n", "memory.max"),  # a container
        ("0::/system.slice/attnviz.service\n", "system.slice/attnviz.service/memory.max"),  # MemoryMax of systemd
        ("0::/school.slice/attnviz.service\n", "school.slice/memory.max"),  # of the group that it lies in
        ("0::/../x\n1:name=systemd:/a\n", "memory.max"),
        ("4:memory:/\n3:cpu:/a\n", "memory/memory.limit_in_bytes"),
        ("4:cpu,memory:/system.slice/attnviz.service\n", "memory/system.slice/attnviz.service/memory.limit_in_bytes"),
        ("4:memory:/docker/1a2b\n0::/\n", "memory/memory.limit_in_bytes"),  # the path is the host's
        ("", "memory.max"),
    ],
)
def test_the_memory_is_that_of_the_control_group_where_it_has_a_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str, file: str
) -> None:
    monkeypatch.setattr(limits, "GROUPS", tmp_path)
    monkeypatch.setattr(limits, "OWN_GROUPS", tmp_path / "own")
    whole = limits.machine_memory()  # without /proc
    (tmp_path / "own").write_text(own)
    limit = tmp_path / file
    limit.parent.mkdir(parents=True, exist_ok=True)
    limit.write_text("max\n")
    assert limits.machine_memory() == whole
    limit.write_text("123456789\n")
    assert limits.machine_memory() == 123_456_789


def test_a_mistyped_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNVIZ_MAX_STEP", "3")
    monkeypatch.setenv("ATTNVIZ_MAX_STEPS", "3")
    assert limits.unknown() == ["ATTNVIZ_MAX_STEP"]


def test_hosting_lists_every_limit_with_its_default_and_what_it_limits() -> None:
    page = (ROOT / "docs" / "hosting.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(ATTNVIZ_\w+)` \| (.+) \|$", page, re.MULTILINE))
    assert rows == {
        f"ATTNVIZ_{name.upper()}": f"{limits.default_in_words(name)} | {field.description}"
        for name, field in limits.Limits.model_fields.items()
    }
