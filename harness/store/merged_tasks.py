"""Which of our tasks and item sets another database's are."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.store.tables import ItemSet, ScoredTask

Version = tuple[str, str, str]


class TaskIds:
    """Our ids for theirs; what ours lacks is added when it is first asked for."""

    def __init__(self, ours: Session, theirs: Session) -> None:
        self._ours, self._theirs = ours, theirs
        self._versions = {row.id: _version(row) for row in theirs.scalars(select(ScoredTask))}
        self._own = {_version(row): row.id for row in ours.scalars(select(ScoredTask))}
        self._items: dict[int, int] = {}

    def name(self, task: int) -> str:
        """The name of their task."""
        return self._versions[task][0]

    def known(self, task: int) -> int | None:
        """Our id of their task; None where ours has no such version of it."""
        return self._own.get(self._versions[task])

    def own(self, task: int) -> int:
        """Our id of their task."""
        version = self._versions[task]
        if version not in self._own:
            row = ScoredTask(name=version[0], version=version[1], fingerprint=version[2])
            self._ours.add(row)
            self._ours.flush()
            self._own[version] = row.id
        return self._own[version]

    def own_items(self, item_set: int) -> int:
        """Our id of their item set."""
        if item_set not in self._items:
            theirs = self._theirs.get_one(ItemSet, item_set)
            task = self.own(theirs.task)
            same = select(ItemSet).where(ItemSet.task == task, ItemSet.digest == theirs.digest)
            row = self._ours.scalar(same)
            if row is None:
                row = ItemSet(
                    task=task, digest=theirs.digest, n=theirs.n, doc_ids=theirs.doc_ids, hashes=theirs.hashes
                )
                self._ours.add(row)
                self._ours.flush()
            self._items[item_set] = row.id
        return self._items[item_set]


def _version(row: ScoredTask) -> Version:
    return (row.name, row.version, row.fingerprint)
