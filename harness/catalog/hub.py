"""Whether a hub model's weights can be had: from the hub's cache here, or from the hub with this user's rights."""

from __future__ import annotations

import json
from pathlib import Path

SECONDS = 5
"""The longest that the hub may keep silent."""
SINGLE = ("model.safetensors", "pytorch_model.bin")
SHARDED = tuple(f"{name}.index.json" for name in SINGLE)


def weights_fault(name: str, revision: str | None) -> str | None:
    """Why the weights of a hub model can't be had here, in words that follow its name; None where they can.

    Fetches a page about the model at most, no weights.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if weights_cached(name, revision):
        return None
    if constants.HF_HUB_OFFLINE:
        return "is not in the hub's cache here, and $HF_HUB_OFFLINE forbids to fetch it"
    token = get_token()
    try:
        about = HfApi().model_info(name, revision=revision, timeout=SECONDS)
        if about.gated:
            HfApi().auth_check(name)
    except GatedRepoError:
        found = "a token that it is not open to" if token else "no token"
        terms = f"accept its terms at {constants.ENDPOINT}/{name}, then set $HF_TOKEN or run hf auth login"
        return f"is gated, and there is {found}: {terms}"
    except RevisionNotFoundError:
        return f"has no revision {revision!r} on the hub"
    except RepositoryNotFoundError:
        found = "this token may" if token else "one without a token may"
        return f"is not on the hub, or is none that {found} see"
    except Exception as error:  # noqa: BLE001 - any way in which a hub can't be reached
        return f"is not in the hub's cache here, and the hub can't be reached ({' '.join(str(error).split())})"
    return None


def weights_cached(name: str, revision: str | None) -> bool:
    """Whether all files of the weights lie in the hub's cache."""
    if any(_cached(name, single, revision) for single in SINGLE):
        return True
    index = next(filter(None, (_cached(name, sharded, revision) for sharded in SHARDED)), None)
    if index is None:
        return False
    shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return all(_cached(name, shard, revision) for shard in shards)


def _cached(name: str, file: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file, revision=revision)
    return Path(found) if isinstance(found, str) else None
