"""Which profiles of an experiment can be run on this machine, where the one that was asked for can't."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import HarnessError
from harness.pipeline.plan import plan
from harness.schedule.devices import Devices
from harness.schedule.fitness import shortfalls
from harness.schedule.points import with_configs
from harness.spec.experiment import ExperimentSpec
from harness.spec.files import profiles_of
from harness.spec.grid import expand


def fitting(experiment: ExperimentSpec, load: Callable[[str], ExperimentSpec]) -> Iterator[str]:
    """The experiment's other profiles of which every run has all that it needs here, in the file's order.

    load: the experiment at the profile of this name, with everything else that was asked for.
    """
    for profile in profiles_of(Path(experiment.path)):
        if profile != experiment.profile and _fits(profile, load):
            yield profile


def _fits(profile: str, load: Callable[[str], ExperimentSpec]) -> bool:
    try:
        other = load(profile)
        with_configs(other)
        found = plan(list(expand(other)), None)
    except HarnessError:  # a --set that only the other profile has a field for, a fragment that is gone
        return False
    return not found.of("blocked") and not shortfalls(found, Devices.here())
