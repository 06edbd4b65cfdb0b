"""lm-eval's caches of answers and of prompts, which know nothing of models: another run's must have no effect."""

from __future__ import annotations

import lm_eval.api.model
import lm_eval.caching.cache
import lm_eval.evaluator
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from harness.score.task_index import load_tasks


def outputs(results):
    return [sample.output for result in results for sample in result.samples]


def evaluated(model, tokenizer, task, **how):
    """What lm-eval itself makes of a model, its caches as `how` says."""
    found = lm_eval.evaluator.simple_evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4),
        tasks=[task],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
        **how,
    )
    return [row["resps"][0][0] for row in found["samples"][task.task_name]]


def test_another_models_answers_and_prompts_are_not_taken(
    make_run, make_model, own_tasks, scored, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    # Where $LM_HARNESS_CACHE_PATH of a process's environment leads to.
    monkeypatch.setattr(lm_eval.caching.cache, "PATH", str(tmp_path / "requests"))
    run = make_run(limit=None, store_outputs="all")
    expected = outputs(scored(run, make_model(0), "mine"))
    other = outputs(scored(run, make_model(1), "mine"))
    (task,) = (loaded.task for loaded in load_tasks(["mine"], own_tasks))
    (shorter,) = (loaded.task for loaded in load_tasks(["mine"], own_tasks))
    shorter.set_config("doc_to_text", "Short.")

    evaluated(make_model(1), tokenizer, task, use_cache="lm_cache")
    evaluated(make_model(1), tokenizer, shorter, cache_requests=True)

    assert list(tmp_path.glob("lm_cache*.db"))
    assert list((tmp_path / "requests").iterdir())
    # The plant works: lm-eval itself, asked to use them, takes the other model's answers and the other prompt.
    (task,) = (loaded.task for loaded in load_tasks(["mine"], own_tasks))
    assert evaluated(make_model(0), tokenizer, task, use_cache="lm_cache") != expected
    (task,) = (loaded.task for loaded in load_tasks(["mine"], own_tasks))
    assert evaluated(make_model(0), tokenizer, task, cache_requests=True) != expected

    assert outputs(scored(run, make_model(0), "mine")) == expected != other


def test_neither_cache_is_opened_or_written(make_run, model, scored, tmp_path, monkeypatch):
    monkeypatch.setattr(lm_eval.caching.cache, "PATH", str(tmp_path / "requests"))

    def opened(*arguments, **named):
        raise AssertionError("a cache of answers was opened")

    monkeypatch.setattr(lm_eval.api.model.CachingLM, "__init__", opened)

    scored(make_run(), model, "mine", "mine_likelihood")

    assert not (tmp_path / "requests").exists()
