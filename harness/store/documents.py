"""What many rows say alike, kept once: parts of specifications and of provenance, each found by its digest.

A run's specification is two documents: its `setting`, which makes its leaderboard, and its `point`, which the seeds
of a row share; what the run's own row says stands in neither. Of a provenance, single values stay with their row and
the mappings and lists, which hardly differ from row to row, are one document.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.store.chunks import chunks
from harness.store.tables import Document

SETTING = ("model", "data", "prompt", "score")
"""The parts of a specification that a leaderboard's rows share."""
OWN = ("run_id", "train_id", "seed")
"""What a specification repeats of its run: a null in the `point`."""


class Documents:
    """The documents of one session; each is written and read once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ids: dict[str, int] = {}
        self._values: dict[int, dict[str, Any]] = {}

    def keep(self, value: Mapping[str, Any]) -> int:
        """The id of the document that holds these JSON values, which is added where it is new."""
        text = json.dumps(value, separators=(",", ":")).encode()
        digest = sha256(text).hexdigest()
        if digest not in self._ids:
            self._ids[digest] = self.own(digest, zlib.compress(text))
        return self._ids[digest]

    def keep_provenance(self, provenance: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
        """What stays with the row, and the id of the document of the rest; None where nothing is left."""
        shared = {name: value for name, value in provenance.items() if isinstance(value, (dict, list, tuple))}
        own = {name: value for name, value in provenance.items() if name not in shared}
        return own, self.keep(shared) if shared else None

    def own(self, digest: str, content: bytes) -> int:
        """The id of the document of this digest, which is added where it is new."""
        found = self._session.scalar(select(Document.id).where(Document.digest == digest))
        if found is not None:
            return found
        row = Document(digest=digest, content=content)
        self._session.add(row)
        self._session.flush()
        return row.id

    def read(self, ids: Iterable[int | None]) -> None:
        """Makes these documents known to `get`."""
        wanted = sorted({id for id in ids if id is not None} - self._values.keys())
        for some in chunks(wanted):
            query = select(Document.id, Document.content).where(Document.id.in_(some))
            self._values.update((id, unpacked(content)) for id, content in self._session.execute(query))

    def get(self, id: int | None) -> dict[str, Any]:
        """A document that was `read`; an empty one for None. Its values are shared: not to be changed."""
        return {} if id is None else self._values[id]

    def spec(self, setting: int, point: int, own: Sequence[Any]) -> dict[str, Any]:
        """A run's specification. own: what its row says of OWN."""
        found = {**self.get(setting), **self.get(point)}
        missing = {name: value for name, value in zip(OWN, own, strict=True) if name in found and found[name] is None}
        return found | missing


def unpacked(content: bytes) -> dict[str, Any]:
    """A document's values."""
    return json.loads(zlib.decompress(content))


def parts_of_spec(spec: Mapping[str, Any], own: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A specification's setting and point. own: what the run's row says of OWN."""
    rows = dict(zip(OWN, own, strict=True))
    setting = {name: spec[name] for name in SETTING if name in spec}
    point = {name: None if name in rows and value == rows[name] else value for name, value in spec.items()}
    return setting, {name: value for name, value in point.items() if name not in setting}
