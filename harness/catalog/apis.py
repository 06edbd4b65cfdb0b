"""APIs that answer for a model over HTTP: where they are, and the key that they ask for."""

from __future__ import annotations

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

KEY = "OPENAI_API_KEY"
"""The environment variable that holds the key, as lm-eval reads it. The key itself is written down nowhere."""
URLS = {
    "openai-chat": "https://api.openai.com/v1/chat/completions",
    "openai-completions": "https://api.openai.com/v1/completions",
}
"""The protocols, each with the address that it has where an experiment names none."""
ENDINGS = {"openai-chat": "/chat/completions", "openai-completions": "/completions"}
LOCAL_DOMAINS = (".localhost", ".local", ".lan", ".internal", ".home.arpa")
HIDDEN = "[the key]"


def key() -> str:
    """The key of the environment; "" where there is none."""
    return os.environ.get(KEY, "").strip()


def without_key(text: str) -> str:
    """A text in which the key does not stand, whoever wrote it there."""
    return text.replace(key(), HIDDEN) if key() else text


def no_likelihoods(task: str, protocol: str) -> str:
    """Why a server can't be asked a task that compares likelihoods."""
    return f"{task} compares likelihoods, which {protocol} does not give"


def host_of(url: str) -> str:
    """The host that an address names, with its port where that is given."""
    return urlsplit(url).netloc


def is_local(url: str) -> bool:
    """Whether an address lies on this machine or in its own network, where servers ask for no key."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(LOCAL_DOMAINS)


def url_fault(api: str, url: str) -> str | None:
    """What is wrong with an API's address. It is recorded, so that it may hold no secret."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return f"must be an http or https address, got {url!r}"
    if parts.username is not None or parts.query or parts.fragment:
        return f"must hold neither a name nor a query, since it is recorded; the key belongs into ${KEY}"
    if parts.scheme == "http" and not is_local(url):
        return f"must be https: the key would travel readable to {parts.hostname}"
    if not parts.path.rstrip("/").endswith("completions"):
        return f"must be the whole address, which ends in {ENDINGS[api]}, got {url!r}"
    return None
