"""One run, as it is handed to a job on another machine."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.pipeline.execute import Result
from harness.pipeline.outage import outage
from harness.pipeline.workers import BEAT_SECONDS, is_gone
from harness.schedule.cluster.mailbox import Mailbox
from harness.schedule.handed import Asker
from harness.schedule.machine import Machine
from harness.schedule.quiet import captured, log_of, quieten
from harness.schedule.runner import Runner
from harness.store.database import sqlite_file
from harness.store.lease import LEASE_SECONDS
from harness.store.store import Store, open_store

ENDS = (signal.SIGTERM, signal.SIGUSR2)
"""With these Slurm announces the end of a job: a limit of time, a preemption, `scancel`."""

_kept: dict[tuple[str, Asker], Runner] = {}
"""By database and experiment: a process that is given one errand after the other keeps its base model."""


class Ending:
    """A `Stop`: the command's request, or the cluster's signal."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox, self._signalled = mailbox, False

    def is_set(self) -> bool:
        """Whether the run is to end softly."""
        return self._signalled or self._mailbox.is_set()

    def heed(self) -> None:
        """Takes a signal that announces the end from now on."""
        for number in ENDS:
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: object) -> None:
        self._signalled = True


@dataclass(frozen=True)
class Errand:
    """Call it where the run is to be done; what it tells is in the mailbox.

    timeout: the seconds that the run may take; home: `$HARNESS_HOME`; folder: the current directory; mailbox: its
    folder, where the database's URL lies, too; path: where modules are found; host: the machine of the command.
    """

    run_id: str
    asker: Asker
    timeout: float | None
    home: str
    folder: str
    mailbox: str
    path: tuple[str, ...]
    host: str

    def __call__(self, heeds_signals: bool = False, cores: int | None = None) -> bool:
        """Does the run. Returns whether another one may be done in this process: not once the device has failed.

        heeds_signals: see `Ending`; cores: those that the job was given.
        """
        mailbox = Mailbox(Path(self.mailbox))
        ending = Ending(mailbox)
        if heeds_signals:
            ending.heed()
        mailbox.send(("done", self._result(mailbox, ending, cores)))
        return all(runner.sound for runner in _kept.values())

    def _result(self, mailbox: Mailbox, ending: Ending, cores: int | None) -> Result:
        db = mailbox.database()
        if ending.is_set() or db is None:
            return Result(self.run_id, "stopped")
        try:
            os.chdir(self.folder)
            self._settle()
            if lacking := self._out_of_reach(db):
                return Result(self.run_id, "blocked", message=lacking, halts=True)
            runner = self._runner(db, cores)
            runner.stop = ending
            with captured(log_of(self.run_id)):
                _outlive_former_self(runner.store, self.run_id, ending)
                return runner.run(self.run_id, mailbox.send)
        except KeyboardInterrupt:
            return Result(self.run_id, "stopped")
        except Exception as error:  # noqa: BLE001 - whatever it is, the command hears of it
            if unmended := outage(error):
                return Result(self.run_id, "blocked", message=unmended, halts=True)
            return Result(self.run_id, "failed", "internal", f"{type(error).__name__}: {error}")

    def _settle(self) -> None:
        os.environ["HARNESS_HOME"] = self.home
        sys.path += [place for place in self.path if place not in sys.path]
        quieten()

    def _out_of_reach(self, db: str) -> str | None:
        """Why the database can't be used from here."""
        path = sqlite_file(db)
        if path is None or socket.gethostname() == self.host:
            return None
        return (
            f"{path} is SQLite's, which several machines can't write to, and this job runs on {socket.gethostname()}, "
            f"the command on {self.host}: use a PostgreSQL server (--db postgresql+psycopg://...)"
        )

    def _runner(self, db: str, cores: int | None) -> Runner:
        machine = Machine.here()
        if cores:
            machine = replace(machine, cores=min(machine.cores, cores))
        key = db, self.asker
        if key not in _kept:
            _let_go()
            _kept[key] = Runner(open_store(db), self.asker, machine, Mailbox(Path(self.mailbox)), self.timeout)
        _kept[key].machine = machine  # the next run may have been given other cores
        return _kept[key]


def _let_go() -> None:
    """Closes what was kept for another experiment or database."""
    while _kept:
        _, runner = _kept.popitem()
        runner.close()
        runner.store.close()


def _outlive_former_self(store: Store, run_id: str, ending: Ending) -> None:
    """Waits until the run's worker counts as dead, where the cluster began this job anew after its node had failed."""
    until = time.monotonic() + LEASE_SECONDS + BEAT_SECONDS
    while _restarts() and time.monotonic() < until and not ending.is_set():
        state: Any = store.states([run_id]).get(run_id)
        if state is None or state.status != "running" or is_gone(state):
            return
        time.sleep(BEAT_SECONDS)


def _restarts() -> bool:
    return os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
