"""The hub: whether it can be reached, and with whose rights. No token is ever shown."""

from __future__ import annotations

from collections.abc import Iterator

from harness.catalog.hub import SECONDS
from harness.pipeline.doctor.finding import Finding


def hub() -> Iterator[Finding]:
    """Asks the hub for one page at most."""
    from huggingface_hub import constants, get_token

    yield Finding("hub cache", "ok", constants.HF_HUB_CACHE)
    token = get_token()
    if constants.HF_HUB_OFFLINE:
        yield Finding("hub", "note", "$HF_HUB_OFFLINE is set: nothing is fetched", "unset it to fetch models and data")
        return
    yield _reached(constants.ENDPOINT, token)


def _reached(endpoint: str, token: str | None) -> Finding:
    import requests

    headers = {"authorization": f"Bearer {token}"} if token else {}
    path = "/api/whoami-v2" if token else "/api/models?limit=1"
    try:
        answer = requests.get(endpoint + path, headers=headers, timeout=SECONDS)
    except requests.RequestException as error:
        return Finding("hub", "note", f"{endpoint} can't be reached ({type(error).__name__})", "a proxy may be needed")
    if answer.status_code == 401:
        return Finding("hub", "wrong", f"{endpoint} does not know the token", "set $HF_TOKEN or run hf auth login")
    if not answer.ok:
        return Finding("hub", "note", f"{endpoint} answers {answer.status_code} {answer.reason}")
    if token:
        return Finding("hub", "ok", f"{endpoint} knows the token of {answer.json().get('name', 'its owner')}")
    return Finding("hub", "note", f"{endpoint} can be reached; no token, which gated models need", "hf auth login")
