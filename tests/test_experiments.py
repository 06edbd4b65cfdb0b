"""Every shipped experiment asks a question, says how to run it, and is valid at each of its scales."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import expand, load_experiment
from harness.spec.files import profiles_of

FOLDER = Path(__file__).parents[1] / "experiments"
SHIPPED = sorted(path for path in FOLDER.glob("*.yaml") if not path.name.startswith("_"))
SCALES = [
    pytest.param(path, profile, id=f"{path.stem}-{profile}") for path in SHIPPED for profile in profiles_of(path)
]


@pytest.mark.parametrize(("path", "profile"), SCALES, ids=lambda value: getattr(value, "stem", value))
def test_it_is_valid_at_each_of_its_scales(path, profile):
    runs = expand(load_experiment(path, profile))

    assert runs
    assert len({run.run_id for run in runs}) == len(runs)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_begins_with_its_question_and_its_command(path):
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()

    assert first.startswith("# ")
    assert "?" in first
    assert second.startswith(f"# harness run experiments/{path.name}")
    assert load_experiment(path).name == path.stem


@pytest.mark.parametrize("path", sorted(FOLDER.glob("_*.yaml")), ids=lambda path: path.stem)
def test_a_fragment_begins_with_what_it_is(path):
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("profile", ["paper", "micro"])
def test_all_methods_are_compared_but_one_that_these_models_have_nothing_for_and_one_that_trains_none(profile):
    compared = {run.adapter.method for run in expand(load_experiment(FOLDER / "methods.yaml", profile))}

    assert {path.stem for path in (FOLDER.parent / "adapters").glob("*.yaml")} - compared == {"bitfit", "trained"}
