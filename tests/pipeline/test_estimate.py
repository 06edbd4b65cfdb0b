"""Estimates of tokens, operations, memory and time, against formulas of others and against what was really done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.catalog.models import model_entry
from harness.pipeline.check import Counted, count
from harness.pipeline.estimate.adapted import adapted
from harness.pipeline.estimate.cost import Estimate, Estimator
from harness.pipeline.estimate.decoder import Decoder, decoder_of
from harness.pipeline.estimate.kept import Kept
from harness.pipeline.estimate.lengths import Lengths
from harness.pipeline.estimate.records import Records, Trained, recorded
from harness.pipeline.estimate.room import Room, fits
from harness.pipeline.estimate.work import Task, flops
from harness.pipeline.plan import plan
from harness.spec.grid import expand
from harness.spec.load import load_experiment
from harness.spec.run import RunSpec
from harness.store.records import TrainResult
from harness.store.store import open_store

from .conftest import TASKS, Small

ROOT = Path(__file__).resolve().parents[2]
ROOM = Room("cpu", 8 * 2**30)
Runs = Callable[..., tuple[RunSpec, ...]]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """The runs of an experiment on micro-llama; nothing is remembered from other tests."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))

    def of(adapter: str, train: str = "steps: 4, batch_size: 8", more: str = "") -> tuple[RunSpec, ...]:
        path = tmp_path / "small.yaml"
        path.write_text(
            f"name: small\nbase: {{model: micro-llama}}\ndata: {{train: micro}}\ntasks: micro\n"
            f"train: {{{train}}}\nadapters:\n  - {adapter}\n{more}"
        )
        return expand(load_experiment(path))

    return of


def estimated(run: RunSpec, room: Room = ROOM, records: Records = Records()) -> Estimate:
    (planned,) = plan([run], None).runs
    found = Estimator(room, lambda model: 1, records).of(planned, count([run])[run.run_id])
    assert found is not None
    return found


def micro() -> Decoder:
    found = decoder_of(model_entry("micro-llama").config)
    assert found is not None
    return found


def counted_operations(run: RunSpec, rows: int, length: int) -> float:
    """What PyTorch counts of a forward and a backward pass."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from harness.train.adapter import attach
    from harness.train.base_model import load_base

    base, _ = load_base(run.model, torch.device("cpu"))
    base.set_attn_implementation("eager")  # the fused kernel is not counted on a CPU
    model = attach(base, run.adapter, 1, 0).train()
    ids = torch.randint(2, 700, (rows, length))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids).loss.backward()
    return counter.get_total_flops()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_operations_are_those_that_pytorch_counts(runs: Runs, method: str) -> None:
    (run,) = runs(f"{{method: {method}}}")
    counts = count([run])[run.run_id]
    full = method == "full"
    parts = () if full else tuple(adapted(run.adapter, micro()))
    task = Task(micro(), parts, counts.trainable_params or 0, full, checkpointing=False)
    rows, length = 4, 64

    ours = flops(task, rows * length, length, 1)

    repeated_head = 2 * rows * length * micro().head_weights  # by TRL's loss, which is not the model's own
    assert ours - repeated_head == pytest.approx(counted_operations(run, rows, length), rel=0.05)


def test_an_adapter_multiplies_by_every_matrix_of_its_own_also_by_shared_ones(runs: Runs) -> None:
    (run,) = runs("{method: denselora, r: 8, targets: QUD}")
    (lora,) = runs("{method: lora, r: 8, targets: QUD}")

    sides = (128 + 128) + (128 + 256) + (256 + 128)  # in + out of query, up and down
    assert [part.products for part in adapted(run.adapter, micro())] == [5 * (8 * sides + 3 * 8**2)]
    assert [part.products for part in adapted(lora.adapter, micro())] == [5 * 8 * sides]


def test_shapes_give_the_weights_of_every_projection() -> None:
    config = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
              "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}  # fmt: skip
    found = decoder_of(config)
    assert found is not None
    norms = 65 * 4096
    assert found.layers * found.layer_weights + 2 * found.head_weights + norms == 8_030_261_248


@pytest.mark.parametrize(
    "config", [None, {"model_type": "unheard_of"}, {"model_type": "mixtral", "num_local_experts": 8}]
)
def test_what_has_no_known_shape_is_not_guessed(config: dict[str, object] | None) -> None:
    assert decoder_of(config) is None


def test_a_row_is_padded_to_the_longest_of_its_micro_batch() -> None:
    lengths = Lengths((10, 20, 40))

    pairs = [(a, b) for a in lengths.tokens for b in lengths.tokens]
    assert lengths.longest(1) == pytest.approx(lengths.mean)
    assert lengths.longest(2) == pytest.approx(sum(max(pair) for pair in pairs) / len(pairs))


def test_epochs_and_fractions_decide_the_steps(runs: Runs) -> None:
    (run,) = runs("{method: lora}", "epochs: 2, batch_size: 16", "matrix: {data.limit: [100]}\n")

    found = estimated(run)
    assert (found.steps, found.examples) == (14, 200)
    assert found.tokens is not None and found.padded_tokens is not None and found.tokens_at_most is not None
    assert found.tokens < found.padded_tokens < found.tokens_at_most == 200 * 256


def test_tokens_are_those_that_training_sees(runs: Runs) -> None:
    (run,) = runs("{method: lora}", "epochs: 1, batch_size: 16")
    from harness.train.base_model import load_tokenizer
    from harness.train.rows import prepare

    assert run.data and run.train
    seen = prepare(run.data, run.prompt, run.train, 0, load_tokenizer("micro-llama"), 512).train
    assert estimated(run).tokens == pytest.approx(sum(map(len, seen["input_ids"])), rel=0.03)


def test_checkpointing_trades_memory_for_operations(runs: Runs) -> None:
    (plain,) = runs("{method: lora}")
    (careful,) = runs("{method: lora}", "steps: 4, batch_size: 8, gradient_checkpointing: true")

    less, more = estimated(careful), estimated(plain)
    assert less.peak_memory_bytes < more.peak_memory_bytes  # type: ignore[operator]
    assert less.flops > more.flops  # type: ignore[operator]


def test_the_trainings_that_we_recorded_took_the_memory_that_is_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without their data every row is taken to be as long as the longest, which one of a thousand is."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    with open_store(f"sqlite:///{ROOT / 'results.db'}", read_only=True) as store:
        recorded = [RunSpec.model_validate(run.spec) for run in store.runs() if run.model == "smollm2-135m"]
        results = store.trainings([run.train_id for run in recorded])
    ratios = {}
    for run in recorded:
        if (result := results.get(run.train_id)) is not None and result.peak_memory_bytes:
            needed = estimated(run).peak_memory_bytes
            ratios[run.run_id] = (needed + ROOM.ours) / result.peak_memory_bytes  # type: ignore[operator]

    assert len(ratios) >= 12
    assert all(0.85 < ratio < 1.25 for ratio in ratios.values()), ratios


def test_smaller_micro_batches_need_less_memory_and_less_padding(runs: Runs) -> None:
    (large,) = runs("{method: lora}")
    (small,) = runs("{method: lora}", "steps: 4, batch_size: 8, micro_batch_size: 1")

    assert estimated(small).peak_memory_bytes < estimated(large).peak_memory_bytes  # type: ignore[operator]
    assert estimated(small).padded_tokens == pytest.approx(estimated(small).tokens, abs=1)


def test_what_is_recorded_of_a_model_says_how_long_it_takes(runs: Runs) -> None:
    (run,) = runs("{method: lora}")
    about = {"device": "cpu", "threads": 1}
    tokens = estimated(run).tokens
    record = Trained(run, TrainResult(50.0, 4, tokens or 0, None, 56_320, 841_088, 6.3, provenance=about))
    other = Trained(run, TrainResult(9.0, 4, 100, None, 56_320, 841_088, 6.3, provenance=about | {"threads": 2}))

    found = estimated(run, records=Records([other, record]))
    assert found.seconds == pytest.approx(50.0, rel=0.01)
    assert found.basis == "1 recorded trainings of this adapter"


def test_on_a_gpu_of_which_nothing_is_recorded_time_is_unknown(runs: Runs) -> None:
    (run,) = runs("{method: lora}")

    found = estimated(run, Room("NVIDIA H100", 80 * 2**30))
    assert (found.seconds, found.basis, found.fits) == (None, None, True)


def test_a_machine_that_is_too_small_is_warned_of() -> None:
    room = Room("NVIDIA H100", 10 * 2**30)

    assert (fits(5 * 2**30, room), fits(20 * 2**30, room), fits(None, room)) == (True, False, None)
    assert room.shortage(20 * 2**30) == "needs about 20.00 GiB, 10.00 GiB of memory of NVIDIA H100 are free"
    assert room.shortage(None) is None


def test_only_scoring_needs_no_training(runs: Runs) -> None:
    (run,) = runs("{method: none}", more="score: {limit: 10}\n")

    found = estimated(run)
    assert (found.steps, found.tokens, found.peak_memory_bytes) == (None, None, None)
    assert found.scoring_items == 10 * len(run.tasks)


def test_a_method_that_does_not_fit_has_no_estimate(runs: Runs) -> None:
    (run,) = runs("{method: lora}")
    (planned,) = plan([run], None).runs

    assert Estimator(ROOM, lambda model: 1).of(planned, Counted(problem="no such modules")) is None


def test_counts_are_remembered_until_a_package_changes(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = runs("{method: lora}")
    first = count([run])

    monkeypatch.setattr("harness.train.adapter.count_parameters", lambda *_: pytest.fail("counted again"))
    assert count([run]) == first
    monkeypatch.setattr("harness.pipeline.check.versions", lambda: ["another"])
    with pytest.raises(pytest.fail.Exception, match="counted again"):
        count([run])


def test_a_damaged_memory_is_an_empty_one(runs: Runs, tmp_path: Path) -> None:
    kept = Kept("things")
    kept.put(["a", 1], {"b": 2})
    kept.save()
    assert Kept("things").get(["a", 1]) == {"b": 2}

    (tmp_path / "cache" / "things.json").write_text(json.dumps([1]))
    assert Kept("things").get(["a", 1]) is None
    (tmp_path / "cache" / "things.json").write_text("{")
    assert Kept("things").get(["a", 1]) is None


def test_trainings_and_scores_are_read_from_the_database_of_this_device_alone(small: Small) -> None:
    (run,) = small.runs()
    claim = small.claim(run)
    about = {"device": "cpu", "threads": 1}
    small.store.record_training(claim, run.train_id, TrainResult(2.0, 4, 900, None, 1, 100, 1.0, provenance=about))
    small.score(claim, *TASKS)

    found = recorded(small.store, [run], "cpu")
    assert [(each.run.run_id, each.result.seconds) for each in found.trained] == [(run.run_id, 2.0)]
    assert found.pace == {(run.model.content, task): 0.5 for task in TASKS}  # 2 items took 1.0 s
    assert recorded(small.store, [run], "NVIDIA H100") == Records()
