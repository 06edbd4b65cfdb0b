"""The heartbeat of a claimed run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from multiprocessing import parent_process

from harness.errors import StoreError
from harness.pipeline.workers import BEAT_SECONDS
from harness.store.claims import ClaimLost
from harness.store.records import Claim
from harness.store.store import Store


@dataclass
class Heart:
    """Beats for the claimed run in a thread of its own, and notices when the claim or the parent is lost.

    orphaned: set once the parent is gone; lost: whether the claim is.
    """

    store: Store
    orphaned: threading.Event
    claim: Claim | None = None
    lost: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begins to beat, in a thread that ends with the process at the latest."""
        threading.Thread(target=self._beat, daemon=True).start()

    def hold(self, claim: Claim | None) -> None:
        """Beats for this claim from now on, or for none; what befell another one no longer counts."""
        with self.lock:
            self.claim, self.lost = claim, False
            self.orphaned.clear()

    def check(self) -> None:
        """Raises ClaimLost where the claim was found to be lost."""
        if self.lost and self.claim is not None:
            raise ClaimLost(self.claim)

    def _holds(self, claim: Claim) -> bool:
        """Whether the claim is still ours; a database that can't be asked just now says nothing."""
        try:
            return self.store.beat(claim)
        except StoreError:
            return True

    def _beat(self) -> None:
        while True:
            parent = parent_process()
            if parent is not None and not parent.is_alive():
                self.orphaned.set()
            with self.lock:
                claim = self.claim
            if claim is not None and not self._holds(claim):
                with self.lock:
                    if self.claim is claim:  # else it ended meanwhile, and the next one is another's business
                        self.lost = True
            if self.done.wait(BEAT_SECONDS):
                return
