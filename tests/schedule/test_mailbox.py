"""What a job and its command tell each other through files."""

from __future__ import annotations

import os
from pathlib import Path

from harness.pipeline.execute import Result as Ended
from harness.schedule.cluster.mailbox import Mailbox, remove_old
from harness.store.records import Claim

from .conftest import DB


def test_a_mailbox_gives_whole_messages_once_and_hands_a_stop_on(tmp_path: Path) -> None:
    job, command = Mailbox(tmp_path), Mailbox(tmp_path)
    assert command.news() == []
    job.send(("claimed", Claim("a", 3, 1)))
    job.send(("event", {"event": "step", "loss": 0.5}))
    with open(tmp_path / "told.jsonl", "a") as file:
        file.write('["event", {"ev')
    assert command.news() == [("claimed", Claim("a", 3, 1)), ("event", {"event": "step", "loss": 0.5})]
    with open(tmp_path / "told.jsonl", "a") as file:
        file.write('ent": "é"}]\n')
    job.send(("done", Ended("a", "failed", "oom", "short")))
    assert command.news() == [("event", {"event": "é"}), ("done", Ended("a", "failed", "oom", "short"))]
    assert command.news() == []
    assert not job.is_set()
    command.ask_to_stop()
    assert job.is_set()


def test_half_a_line_that_a_node_left_as_it_died_costs_no_other_message(tmp_path: Path) -> None:
    (tmp_path / "told.jsonl").write_bytes(b'["event", {"event": "st' + bytes(3))
    again, command = Mailbox(tmp_path), Mailbox(tmp_path)
    again.send(("claimed", Claim("a", 4, 2)))
    assert command.news() == [("claimed", Claim("a", 4, 2))]


def test_mailboxes_of_dead_commands_are_swept_once_their_jobs_are_long_done(tmp_path: Path) -> None:
    done, lately, waiting = (Mailbox.new(tmp_path, name, DB) for name in ("done", "lately", "waiting"))
    for box in (done, lately):
        box.send(("done", Ended("a", "complete")))
    other_version = Mailbox.new(tmp_path, "other", DB)
    (other_version.folder / "told.jsonl").write_text('["done", {"run_id": "a", "outcome": "complete", "new": 1}]\n')
    for box in (done, waiting, other_version):
        os.utime(box.folder / "told.jsonl", (0, 0))
    remove_old(tmp_path)
    assert {box.folder for box in (lately, waiting, other_version)} == set(tmp_path.iterdir())
    lately.remove()
    lately.ask_to_stop()  # of one that is gone
