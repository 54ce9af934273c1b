"""Training: what a step computes, what a seed decides, stopping, resuming, and what goes wrong in words."""

import dataclasses
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.errors import InvalidParameterError, ModelError, TrainingError
from attnviz.nn.multihead import MultiheadAttention
from attnviz.nn.transformer import Transformer
from attnviz.training import induction_warmup, loop
from attnviz.training.config import ENTRY
from attnviz.training.loop import TrainConfig, Training, batch_loss, initialise, optimizer_for, preset, train
from attnviz.training.schedules import SCHEDULES
from attnviz.training.tasks import IGNORED, TASKS
from tests.support.examples import examples

TINY = {"d_model": 16, "n_heads": 2, "n_layers": 1, "batch": 4, "steps": 6, "warmup": 2, "eval_every": 3}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(run: Training) -> dict[str, torch.Tensor]:
    return {name: x.clone() for name, x in run.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_trains_evaluates_and_shows_its_probe(task: str) -> None:
    config = preset(
        task, "small", **TINY | ({"vocab_size": 300, "length": 24} if task in ("language", "masked") else {})
    )
    steps = list(train(config))
    assert [step.number for step in steps] == list(range(1, 7))
    assert [step.metrics is not None for step in steps] == [False, False, True] * 2
    assert all(math.isfinite(step.loss) and step.grad_norm > 0 and step.tokens_per_second > 0 for step in steps)
    assert steps[-1].done and not any(step.done for step in steps[:-1])
    last = steps[-1]
    assert last.metrics is not None and last.probe is not None
    assert TASKS[task].metric in last.metrics
    assert len(last.probe.encodings[0]) == last.probe.final.shape[1]


def test_the_first_loss_is_that_of_guessing() -> None:
    """Small random weights know nothing: −ln(1/V), on average over what they may be."""
    runs = [Training(preset("copy", **TINY, seed=seed)) for seed in range(8)]
    losses = [run._step().loss for run in runs]
    assert sum(losses) / len(losses) == pytest.approx(math.log(runs[0].task.tokenizer.vocab_size), abs=0.3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torchs_on_the_labels_that_count(smoothing: float) -> None:
    run = Training(preset("sort", "small", **TINY))
    batch = run.task.batch(5, torch.Generator().manual_seed(1))
    assert (batch.labels == IGNORED).any()
    logits = batch.run(run.model).logits
    assert logits is not None
    theirs = torch.nn.CrossEntropyLoss(ignore_index=IGNORED, label_smoothing=smoothing)
    ours = batch_loss(run.model, batch, smoothing)
    torch.testing.assert_close(ours, theirs(logits.flatten(0, 1), batch.labels.flatten()))


def test_padding_changes_neither_loss_nor_gradient() -> None:
    run = Training(preset("dates", "small", **TINY))
    assert isinstance(run.task, TASKS["dates"])
    short = run.task.examples([("9.9.1999", "1999-09-09")])  # type: ignore[attr-defined]
    both = run.task.examples([("9.9.1999", "1999-09-09"), ("Saturday, 21 November 2026", "2026-11-21")])  # type: ignore[attr-defined]
    alone = dataclasses.replace(both, labels=both.labels.clone())
    alone.labels[1] = IGNORED
    grads = []
    for batch in (short, alone):
        run.model.zero_grad()
        batch_loss(run.model, batch).backward()
        grads.append([p.grad.clone() for p in run.model.parameters() if p.grad is not None])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    run = Training(preset("reverse", "small", **TINY | {"d_model": 8}))
    model = run.model.double()
    batch = run.task.batch(3, torch.Generator().manual_seed(2))
    model.zero_grad()
    batch_loss(model, batch).backward()
    generator = torch.Generator().manual_seed(3)
    for p in model.parameters():
        i = int(torch.randint(p.numel(), (), generator=generator))
        assert p.grad is not None
        found, flat = float(p.grad.flatten()[i]), p.data.view(-1)
        was, h = float(flat[i]), 1e-6
        sides = []
        for value in (was + h, was - h):
            flat[i] = value
            sides.append(float(batch_loss(model, batch).detach()))
        flat[i] = was
        assert found == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-4, abs=1e-8)


def test_weight_decay_leaves_norms_and_biases_alone() -> None:
    config = preset("induction", weight_decay=0.5, d_ff=32)
    model = Transformer(config.model("decoder", 40, 16))
    decayed, others = optimizer_for(model, config).param_groups
    assert decayed["weight_decay"] == 0.5 and others["weight_decay"] == 0.0
    names = {id(p): name for name, p in model.named_parameters()}
    assert all("norm" not in names[id(p)] and "bias" not in names[id(p)] for p in decayed["params"])
    assert all("norm" in names[id(p)] or "bias" in names[id(p)] for p in others["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(names)


@pytest.mark.parametrize("name", loop.OPTIMIZERS)
def test_a_step_is_the_plain_torch_loops(name: str) -> None:
    """The same batches, weights and optimizer in five lines of torch."""
    config = preset("copy", **TINY | {"optimizer": name, "clip": 0.5, "steps": 3})
    run, other = Training(config), Training(config)
    optimizer = optimizer_for(other.model, config)
    for number, step in enumerate(run.steps()):
        for group in optimizer.param_groups:
            group["lr"] = step.learning_rate
        batch = other.task.batch(config.batch, torch.Generator().manual_seed(config.seed * 1_000_003 + number))
        optimizer.zero_grad()
        loss = batch_loss(other.model, batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(other.model.parameters(), config.clip)
        optimizer.step()
        assert step.loss == float(loss.detach()) and step.grad_norm == float(norm)
    assert same(weights(run), weights(other))


def test_initial_weights_have_the_sizes_they_are_said_to_have() -> None:
    config = preset("language", d_model=128, n_layers=4, d_ff=512)
    model = Transformer(config.model("decoder", 2000, 64))
    initialise(model, torch.Generator().manual_seed(0))
    std = math.sqrt(2 / (5 * 128))
    for name, p in model.named_parameters():
        if p.dim() >= 2:
            expected = std / math.sqrt(8) if name.endswith(("out_proj.weight", "linear2.weight")) else std
            assert float(p.std()) == pytest.approx(expected, rel=0.03), name
        elif "norm" not in name:
            assert float(p.abs().max()) == 0


INTERLUDE = TINY | {
    "vocab_size": 300,
    "length": 24,
    "batch": 8,
    "steps": 8,
    "repeats": 0.25,
    "induction_warmup": 3,
    "induction_warmup_at": 2,
}


def test_the_first_names_of_the_induction_warmup_are_still_read() -> None:
    """Files of trained models and the commands in their cards have them."""
    old = TrainConfig.of({"task": "language", "interlude": 900, "interlude_at": 9000, "steps": 20_000})
    assert (old.induction_warmup, old.induction_warmup_at) == (900, 9000)
    assert preset("language", interlude=9, interlude_at=60).induction_warmup == 9


def test_in_an_induction_warmup_one_head_of_each_layer_learns_and_repeats_begin_after_it() -> None:
    run = Training(preset("language", "small", **INTERLUDE))
    heads, width = run.config.n_heads, run.config.d_model
    repeats, moved = [], []
    for step in range(8):
        batches = run._batches(loop._generator(0, step))
        repeats.append([int((batch.labels == IGNORED).any(dim=1).sum()) for batch in batches])
        before = weights(run)
        run._step()
        moved.append({name: p != before[name] for name, p in weights(run).items()})
    assert repeats == [[0], [0], [0, 4], [0, 4], [0, 4], [2], [2], [2]]
    assert all(where.any() for step in moved[:2] + moved[5:] for where in step.values())
    for step in moved[2:5]:
        for name, where in step.items():
            if "self_attn" not in name or name.endswith("out_proj.bias"):
                assert not where.any(), name
                continue
            learning = run.learning[int(name.split(".")[2])]
            by_head = where.view(3, heads, -1) if "in_proj" in name else where.view(width, heads, -1).transpose(0, 1)
            parts = by_head.transpose(0, 1) if "in_proj" in name else by_head
            assert [bool(part.any()) for part in parts] == [head == learning for head in range(heads)], name


def test_the_heads_of_an_induction_warmup_are_chosen_as_it_begins() -> None:
    previous = torch.tensor([[0.1, 0.6, 0.2], [0.3, 0.2, 0.1], [0.05, 0.3, 0.5]])
    assert induction_warmup.choose(previous) == [1, 2, 0]
    run = Training(preset("language", "small", **INTERLUDE))
    for _ in range(2):
        run._step()
    assert run.learning == []
    found = run.task.heads(run.model.eval()).previous
    run._step()
    assert run.learning == induction_warmup.choose(found)


def test_an_induction_warmup_has_no_dropout_and_no_weight_decay(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Training(preset("language", "small", **INTERLUDE | {"dropout": 0.5, "weight_decay": 0.3}))
    seen: list[tuple[bool, float]] = []

    def watched(model: Transformer, *others: Any) -> torch.Tensor:
        seen.append((model.training, run.optimizer.param_groups[0]["weight_decay"]))
        return batch_loss(model, *others)

    monkeypatch.setattr(loop, "batch_loss", watched)
    for _ in range(8):
        run._step()
    assert seen == [(True, 0.3)] * 2 + [(False, 0.0)] * 6 + [(True, 0.3)] * 3  # two batches a step within it


def test_an_induction_warmup_warms_up_on_its_own_and_so_does_what_follows() -> None:
    changes = {"steps": 500, "warmup": 100, "vocab_size": 300, "length": 24}
    plain = preset("language", **changes)
    config = replace(plain, induction_warmup=120, induction_warmup_at=200)
    for step in range(500):
        since = step - 320 if step >= 320 else step - 200
        factor = min(1.0, (since + 1) / ENTRY) if step >= 200 else 1.0
        assert config.rate(step) == pytest.approx(plain.rate(step) * factor, rel=1e-12), step


def test_what_learns_in_an_induction_warmup_has_fresh_averages_before_and_after_and_the_rest_keeps_its_own() -> None:
    """Averages of other gradients would make the first steps many times too long."""
    run = Training(preset("language", "small", **INTERLUDE))
    named = dict(run.model.named_parameters())
    attention = next(p for name, p in named.items() if name.endswith("in_proj_weight"))
    other = next(p for name, p in named.items() if name.endswith("linear1.weight"))
    counted = []
    for _ in range(8):
        run._step()
        counted.append([int(run.optimizer.state[p]["step"]) for p in (attention, other)])
    assert counted == [[1, 1], [2, 2], [1, 2], [2, 2], [3, 2], [1, 3], [2, 4], [3, 5]]


def test_a_training_in_its_induction_warmup_resumes_bit_for_bit(tmp_path: Path) -> None:
    config = preset("language", "small", **INTERLUDE)
    whole = Training(config)
    expected = [step.loss for step in whole.steps()]
    for stop in (2, 3, 5):
        run = Training(config)
        losses = [run._step().loss for _ in range(stop)]
        run.save(tmp_path / "checkpoint.safetensors")
        resumed = Training.resume(tmp_path / "checkpoint.safetensors")
        assert losses + [step.loss for step in resumed.steps()] == expected
        assert same(weights(resumed), weights(whole))


@pytest.mark.parametrize("heads", [[], [0, 0, 0], [9]])
def test_a_checkpoint_without_the_heads_of_its_induction_warmup_is_refused(tmp_path: Path, heads: list) -> None:
    run = Training(preset("language", "small", **INTERLUDE))
    for _ in range(3):
        run._step()
    run.learning = heads
    run.save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(ModelError, match="cannot be resumed"):
        Training.resume(tmp_path / "checkpoint.safetensors")


def test_dropout_can_leave_the_attention_weights_whole() -> None:
    for whole in (False, True):
        run = Training(preset("copy", **TINY | {"dropout": 0.3, "attention_dropout": whole}))
        found = {module.dropout for module in run.model.modules() if isinstance(module, MultiheadAttention)}
        assert found == {0.3 if whole else 0.0} and run.model.config.dropout == 0.3


def test_a_seed_decides_everything() -> None:
    config = preset("induction", "small", **TINY | {"dropout": 0.2})
    first, second, third = (Training(replace(config, seed=seed)) for seed in (5, 5, 6))
    losses = [[step.loss for step in run.steps()] for run in (first, second, third)]
    assert losses[0] == losses[1] != losses[2]
    assert same(weights(first), weights(second))


@pytest.mark.parametrize(("optimizer", "dropout"), [("adamw", 0.0), ("adamw", 0.3), ("sgd", 0.0)])
def test_resumed_is_bit_for_bit_uninterrupted(tmp_path: Path, optimizer: str, dropout: float) -> None:
    config = preset("induction", "small", **TINY | {"optimizer": optimizer, "dropout": dropout, "steps": 9})
    whole = Training(config)
    expected = [step.loss for step in whole.steps()]
    first = Training(config)
    steps = first.steps()
    losses = [next(steps).loss for _ in range(4)]
    first.save(tmp_path / "checkpoint.safetensors")
    next(steps)  # goes on after the checkpoint, and is lost
    steps.close()
    torch.manual_seed(99)  # whatever else happened in the process
    second = Training.resume(tmp_path / "checkpoint.safetensors")
    losses += [step.loss for step in second.steps()]
    assert losses == expected
    assert same(weights(second), weights(whole))
    assert second.smoothed == whole.smoothed and second.best == whole.best


def test_early_stopping_counts_evaluations_without_a_better_loss() -> None:
    config = preset("induction", "small", **TINY | {"steps": 60, "eval_every": 2, "patience": 2, "learning_rate": 1e-9})
    run = Training(config)
    run.best = 0.0  # nothing will be better
    steps = list(run.steps())
    assert len(steps) == 4 and steps[-1].done


def test_a_generator_stops_at_any_step() -> None:
    run = Training(preset("induction", "small", **TINY))
    steps = run.steps()
    next(steps)
    steps.close()
    assert run.done == 1
    assert [step.number for step in run.steps()] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("optimizer", ["sgd"])
def test_a_loss_that_runs_away_stops_with_the_numbers(optimizer: str) -> None:
    config = preset(
        "copy", "small", **TINY | {"optimizer": optimizer, "learning_rate": 10.0, "clip": 0, "warmup": 0, "steps": 400}
    )
    run = Training(config)
    for p in run.model.parameters():
        p.data *= 1e20
    with pytest.raises(TrainingError, match=r"loss is (nan|inf).* at step 1, at a learning rate of 10"):
        list(run.steps())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 1e3}, ["learning_rate=1000", "10"]),
        ({"learning_rate": float("nan")}, ["learning_rate"]),
        ({"d_model": 30, "n_heads": 4}, ["30", "4"]),
        ({"steps": 0}, ["steps=0"]),
        ({"warmup": 100, "steps": 10}, ["warmup=100", "steps=10"]),
        ({"task": "chess"}, ["'chess'", "induction"]),
        ({"optimizer": "lion"}, ["'lion'"]),
        ({"dropout": 1.5}, ["dropout=1.5"]),
        ({"weight_decay": -1}, ["weight_decay=-1"]),
        ({"precision": "int8"}, ["'int8'"]),
        ({"induction_warmup": 5}, ["induction_warmup=5", "language", "induction"]),
        ({"induction_warmup": -1, "task": "language"}, ["induction_warmup=-1"]),
        (
            {"induction_warmup": 9, "induction_warmup_at": 60, "steps": 68, "task": "language"},
            ["9", "induction_warmup_at=60", "steps=68"],
        ),
        ({"attention_dropout": 0.5}, ["attention_dropout=0.5"]),
    ],
)
def test_a_bad_setting_is_refused_with_its_numbers(changes: dict, words: list[str]) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        TrainConfig(**changes)
    assert all(word in str(caught.value) for word in words)


@given(
    st.builds(
        TrainConfig,
        task=st.sampled_from(sorted(TASKS)),
        steps=st.integers(100, 10**6),
        seed=st.integers(0, 2**40),
        learning_rate=st.floats(1e-6, 10),
        schedule=st.sampled_from(sorted(SCHEDULES)),
    )
)
@settings(max_examples=examples(50))
def test_settings_survive_json(config: TrainConfig) -> None:
    assert TrainConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"speed": 3}', '{"steps": "many"}', "null"])
def test_json_that_is_no_training_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError):
        TrainConfig.from_json(text)


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    settings = TINY | {"vocab_size": 300, "length": 16}
    Training(preset("language", "small", **settings), "one text of its own. " * 40).save(file)
    with pytest.raises(ModelError, match="other data"):
        Training.resume(file, "another text than that one. " * 40)


def test_bfloat16_trains_the_same_model_a_little_less_exactly() -> None:
    config = preset("induction", "small", **TINY)
    exact = [step.loss for step in train(config)]
    rough = [step.loss for step in train(replace(config, precision="bfloat16"))]
    assert rough == pytest.approx(exact, rel=0.02) and rough != exact
