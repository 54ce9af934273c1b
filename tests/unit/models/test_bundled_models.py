"""The models that come with the app do what their model cards say, on examples that they were not trained on."""

import json
from pathlib import Path

import pytest
import torch

import attnviz
from attnviz.generation.sampling import greedy
from attnviz.models.catalogue import BUNDLED
from attnviz.training import snapshots
from attnviz.training.loop import TrainConfig
from attnviz.training.tasks import TASKS, Task
from attnviz.training.tasks.dates import held_out_days, origins, written

OURS = ("induction", "dates", "tales")


def log_of(name: str) -> dict:
    return json.loads((BUNDLED / name / "training.json").read_text(encoding="utf-8"))


def task_of(name: str) -> Task:
    config = TrainConfig.of(log_of(name)["config"])
    return TASKS[config.task].of(config.length, config.vocab_size, config.repeats, None)


@pytest.fixture(scope="module", params=OURS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_it_reproduces_its_metrics(name: str) -> None:
    log, task, model = log_of(name), task_of(name), attnviz.load(name)
    assert model.tokenizer.library.to_str() == task.tokenizer.library.to_str()
    with torch.inference_mode():
        found = task.evaluate(model.transformer, "test")
    assert found == pytest.approx(log["metrics"], rel=1e-5, abs=1e-6)


def test_its_heads_do_what_the_card_says(name: str) -> None:
    log = log_of(name)
    with torch.inference_mode():
        roles = task_of(name).roles(attnviz.load(name).transformer)
    card = (BUNDLED / name / "README.md").read_text(encoding="utf-8")
    assert bool(roles) == (name != "induction")
    for role, stated in zip(roles, log.get("heads", []), strict=True):
        assert (role.what, role.layer, role.head) == (stated["what"], stated["layer"], stated["head"])
        assert role.n == stated["n"]
        for number in ("score", "by_place", "by_chance"):
            assert getattr(role, number) == pytest.approx(stated[number], rel=1e-5)
        assert f"| {role.what} | layer {role.layer}, head {role.head} | {role.score:.1%} |" in card
        assert role.score > role.by_place > role.by_chance


def test_its_card_says_how_it_was_made(name: str) -> None:
    log, card = log_of(name), (BUNDLED / name / "README.md").read_text(encoding="utf-8")
    assert log["command"].startswith(f"python -m attnviz train {name} ") and log["command"] in card
    assert log["steps"] == log["config"]["steps"] == log["evaluations"][-1]["step"] and log["seconds"] > 0
    assert all(f"| {metric} | {value:.4g} |" in card for metric, value in log["metrics"].items())


def test_it_is_in_the_catalogue(name: str) -> None:
    (info,) = [info for info in attnviz.catalogue() if info.name == name]
    assert info.trained and info.n_parameters == attnviz.load(name).transformer.config.n_parameters


@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("induction", "induction", 0.8),
        ("dates", "exact", 0.99),
        ("dates", "alignment", 0.85),
        ("tales", "pronoun", 0.8),
        ("tales", "verb", 0.99),
        ("tales", "adjective", 0.99),
    ],
)
def test_it_is_good_enough_to_teach_with(name: str, metric: str, least: float) -> None:
    assert log_of(name)["metrics"][metric] >= least


def test_the_dates_are_said_letter_by_letter() -> None:
    model, days = attnviz.load("dates"), held_out_days("test")[::10]
    said = [greedy(model, written(date, form)) for date, form in days]
    right = [one.ended and one.text == date.isoformat() for one, (date, _) in zip(said, days, strict=True)]
    assert sum(right) >= 0.99 * len(days)


def test_a_dates_cross_attention_points_at_its_digits() -> None:
    """As one sees it in the app: a run on source and target."""
    model, date, form = attnviz.load("dates"), held_out_days("val")[0][0], "{day} {month} {year}"
    trace = model.run(written(date, form), target=date.isoformat())
    (role, *_) = [one for one in log_of("dates")["heads"] if "year" in one["what"]]
    weights = trace.cross_attentions[role["layer"]][0, role["head"]]
    assert trace.source is not None and weights.shape == (len(trace.tokens), len(trace.source.tokens))
    tops = [int(weights[i].argmax()) - 1 for i in range(4)]
    right = [top in places for top, places in zip(tops, origins(date, form), strict=False)]
    assert sum(right) >= 3


def test_the_history_ends_with_the_model() -> None:
    past, model = snapshots.read(BUNDLED / "induction"), attnviz.load("induction").transformer
    own, last = model.state_dict(), past.model(len(past.steps) - 1).state_dict()
    assert 20 <= len(past.steps) <= 40 and past.steps[-1] == log_of("induction")["steps"]
    assert own.keys() == last.keys() and all(torch.equal(own[name], last[name]) for name in own)


def test_the_folders_are_small() -> None:
    sizes = {folder.name: sum(file.stat().st_size for file in folder.iterdir()) for folder in BUNDLED.iterdir()}
    assert sizes["induction"] < 3_000_000 and sizes["dates"] < 3_000_000 and sizes["tales"] < 2_000_000
    assert sum(sizes.values()) < 15_000_000
    assert not list(Path(BUNDLED).glob("*/checkpoint*"))
