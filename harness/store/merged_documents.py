"""Which of our documents another database's are."""

from __future__ import annotations

from sqlalchemy.orm import Session

from harness.store.documents import Documents
from harness.store.tables import Document


class DocumentIds:
    """Our ids for theirs; what ours lacks is added when it is first asked for."""

    def __init__(self, ours: Session, theirs: Session) -> None:
        self._ours, self._theirs = Documents(ours), theirs
        self._ids: dict[int, int] = {}

    def own(self, document: int | None) -> int | None:
        """Our id of their document; None for None."""
        if document is None:
            return None
        if document not in self._ids:
            theirs = self._theirs.get_one(Document, document)
            self._ids[document] = self._ours.own(theirs.digest, theirs.content)
        return self._ids[document]
