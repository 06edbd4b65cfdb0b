"""What a model behind an API needs that may be missing here, found before any request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from harness.catalog.apis import KEY, host_of, is_local, key, no_likelihoods
from harness.catalog.tasks import GENERATIVE, Task
from harness.spec.run import ApiRef

PACKAGES = ("aiohttp", "requests", "tenacity", "tqdm")


def server_obstacles(api: ApiRef) -> Iterator[tuple[str, str]]:
    """What keeps lm-eval from asking the server: messages with their fields."""
    lacking = [package for package in PACKAGES if find_spec(package) is None]
    if lacking:
        yield "base.api", f"{api.protocol} needs {', '.join(lacking)}: pip install {' '.join(lacking)}"
    if not key() and not is_local(api.url):
        yield "base.api", f"{host_of(api.url)} asks for a key: set ${KEY}"
    if not (key().isascii() and key().isprintable()) or " " in key():
        yield "base.api", f"${KEY} is no key: it holds more than letters, digits and signs"


def unanswerable(api: ApiRef, tasks: Iterable[Task]) -> Iterator[tuple[str, str]]:
    """The tasks that compare likelihoods: a server gives answers alone."""
    for task in tasks:
        if task.output_type != GENERATIVE:
            yield "tasks", no_likelihoods(task.name, api.protocol)
