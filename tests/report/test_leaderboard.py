from __future__ import annotations

import math
import statistics
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.errors import NotFoundError
from harness.report.leaderboard import leaderboard, leaderboards
from harness.store.records import Score, TaskResult
from harness.store.store import Store, open_store

from .database import TASKS, TRAINING, Asked, Database, asked, scores


def finished(database: Database, *results: tuple[Asked, float, float], **place: str) -> None:
    database.register(*(run for run, _, _ in results), **place)
    for run, first, second in results:
        database.complete(run, scores(first, second))


def test_rows_are_ranked_by_their_average(database: Database, store: Store) -> None:
    finished(database, (asked("lora"), 0.6, 0.5), (asked("dora"), 0.7, 0.6), (asked("vera"), 0.5, 0.4))
    board = leaderboard(store)
    assert [(row.rank, row.label) for row in board.rows] == [(1, "dora"), (2, "lora"), (3, "vera")]
    assert [row.group for row in board.rows] == [None] * 3


def test_equal_averages_share_a_rank(database: Database, store: Store) -> None:
    finished(database, (asked("lora"), 0.6, 0.5), (asked("dora"), 0.5, 0.6), (asked("vera"), 0.1, 0.2))
    assert [row.rank for row in leaderboard(store).rows] == [1, 1, 3]


def test_less_perplexity_ranks_higher_and_is_no_percentage(database: Database, store: Store) -> None:
    runs = asked("lora"), asked("dora")
    database.register(*runs)
    for run, value in zip(runs, (12.5, 9.5), strict=True):
        database.complete(run, dict.fromkeys(TASKS, (value, None)), metric="perplexity")
    assert [(row.label, row.average and row.average.value) for row in leaderboard(store).rows] == [
        ("dora", 9.5),
        ("lora", 12.5),
    ]


def test_one_seed_shows_percentages_with_the_error_of_the_items(database: Database, store: Store) -> None:
    finished(database, (asked(), 0.6, 0.5))
    row = leaderboard(store).to_json()["rows"][0]
    interval = {"ci_low": pytest.approx(60 - 1.96 * 2), "ci_high": pytest.approx(60 + 1.96 * 2)}
    shown = {"value": pytest.approx(60), "stderr": pytest.approx(2), "n": 200, "seeds": 1}
    assert row["scores"][TASKS[0]] == shown | interval
    error = math.sqrt(2**2 + 3**2) / 2
    assert row["average"]["value"] == pytest.approx(55)
    assert row["average"]["stderr"] == pytest.approx(error)
    assert row["average"]["ci_low"] == pytest.approx(55 - 1.96 * error)
    assert row["average"]["ci_high"] == pytest.approx(55 + 1.96 * error)


def test_seeds_combine_into_one_row(database: Database, store: Store) -> None:
    finished(database, (asked(seed=0), 0.6, 0.5), (asked(seed=1), 0.7, 0.4))
    (row,) = leaderboard(store).rows
    assert (row.seeds, row.seed_values, len(row.run_ids)) == (2, (0, 1), 2)
    first = row.scores[TASKS[0]]
    assert first.value == pytest.approx(65)
    assert first.stderr == pytest.approx(math.sqrt(2**2 + statistics.variance([60, 70]) / 2))
    assert first.n == 200
    assert row.average is not None
    assert row.average.value == pytest.approx(55)
    assert row.average.stderr == pytest.approx(math.sqrt((2**2 + 3**2) / 4 + statistics.variance([55, 55]) / 2))


def test_a_seed_without_every_task_stays_out_of_the_average(database: Database, store: Store) -> None:
    whole, part = asked(seed=0), asked(seed=1)
    database.register(whole, part)
    database.complete(whole, scores(0.6, 0.5))
    database.complete(part, {TASKS[0]: (0.8, 0.02)})
    board = leaderboard(store)
    (row,) = board.rows
    assert row.scores[TASKS[0]].value == pytest.approx(70)
    assert row.average is not None
    assert row.average.value == pytest.approx(55)
    assert any("seeds lack tasks" in note for note in board.notes)


def test_a_missing_task_leaves_no_average_and_no_rank(database: Database, store: Store) -> None:
    whole, part = asked("lora"), asked("dora")
    database.register(whole, part)
    database.complete(whole, scores(0.1, 0.1))
    database.complete(part, {TASKS[0]: (0.9, 0.02)})
    rows = leaderboard(store).rows
    assert [(row.label, row.rank) for row in rows] == [("lora", 1), ("dora", None)]
    assert rows[1].average is None
    assert list(rows[1].scores) == [TASKS[0]]


def test_an_unknown_standard_error_stays_unknown(database: Database, store: Store) -> None:
    database.register(asked())
    database.complete(asked(), {TASKS[0]: (0.5, None), TASKS[1]: (0.5, 0.03)})
    (row,) = leaderboard(store).rows
    assert row.scores[TASKS[0]].stderr is None
    assert row.average is not None
    assert (row.average.stderr, row.average.ci_low) == (None, None)


def test_costs_are_those_of_training(database: Database, store: Store) -> None:
    runs = asked(seed=0), asked(seed=1), asked("none")
    database.register(*runs)
    trainings = TRAINING, replace(TRAINING, seconds=200.0, peak_memory_bytes=2**31), TRAINING
    for run, training in zip(runs, trainings, strict=True):
        database.complete(run, scores(0.6, 0.5), training=training)
    rows = {row.method: row for row in leaderboard(store).rows}
    assert (rows["lora"].train_seconds, rows["lora"].peak_memory_bytes, rows["lora"].tokens) == (150, 2**31, 5000)
    assert (rows["lora"].trainable_params, rows["lora"].trainable_percent) == (1_933_312, 0.0241)
    assert (rows["none"].trainable_params, rows["none"].train_seconds) == (0, None)


def test_the_share_of_extracted_answers_is_shown_where_it_was_measured(database: Database, store: Store) -> None:
    runs = asked(seed=0), asked(seed=1)
    database.register(*runs)
    for run, share in zip(runs, (0.9, 1.0), strict=True):
        database.complete(run, {TASKS[0]: (0.5, 0.1)}, extra=(Score("extracted", share, None, 200),))
    assert leaderboard(store).rows[0].extracted == {TASKS[0]: pytest.approx(95)}


def test_failed_and_unfinished_runs_are_counted(database: Database, store: Store) -> None:
    good, bad, waiting = asked("lora"), asked("dora"), asked("vera")
    database.register(good, bad, waiting)
    database.complete(good, scores(0.6, 0.5))
    database.fail(bad)
    board = leaderboard(store)
    assert (board.failed, board.unfinished, len(board.rows)) == (1, 1, 1)
    (failure,) = board.failures
    assert failure["run_id"] == bad.spec.run_id
    assert (failure["label"], failure["kind"], failure["error"]) == ("dora", "oom", "out of memory")


def test_a_board_where_every_run_failed_has_no_rows(database: Database, store: Store) -> None:
    database.register(asked())
    database.fail(asked())
    board = leaderboard(store)
    assert (board.failed, board.rows) == (1, ())


def test_the_base_model_stands_on_the_board_of_every_data_setting(database: Database, store: Store) -> None:
    small, large = asked(fraction=0.1), asked(fraction=1.0)
    finished(database, (small, 0.6, 0.5), (large, 0.7, 0.6), (asked("none"), 0.2, 0.2))
    boards = leaderboards(store)
    assert {board.data and board.data["fraction"]: [row.method for row in board.rows] for board in boards} == {
        0.1: ["lora", "none"],
        1.0: ["lora", "none"],
    }


def test_the_base_model_alone_makes_a_board_without_data(database: Database, store: Store) -> None:
    finished(database, (asked("none"), 0.2, 0.2))
    assert leaderboard(store).data is None


@pytest.mark.parametrize(
    "other",
    [asked(limit=50), asked(model="other"), asked(data="more"), asked(fraction=0.1)],
    ids=["limit", "model", "data", "fraction"],
)
def test_limits_models_and_data_are_never_mixed(database: Database, store: Store, other: Asked) -> None:
    finished(database, (asked(), 0.6, 0.5), (other, 0.7, 0.6))
    boards = leaderboards(store)
    assert [len(board.rows) for board in boards] == [1, 1]
    assert boards[0].others == (boards[1].setting(),)


def test_a_run_that_two_benchmarks_ask_for_stands_on_both(database: Database, store: Store) -> None:
    finished(database, (asked(), 0.6, 0.5))
    database.register(asked(), experiment="second", benchmark="one", tasks=TASKS[:1])
    boards = {board.benchmark: board for board in leaderboards(store)}
    assert {name: len(board.rows[0].scores) for name, board in boards.items()} == {"micro": 2, "one": 1}


def test_the_board_with_the_latest_result_comes_first(database: Database, store: Store) -> None:
    finished(database, (asked(limit=50), 0.6, 0.5), (asked("none", limit=50), 0.2, 0.2))
    finished(database, (asked(), 0.6, 0.5), experiment="second")
    assert [board.limit for board in leaderboards(store)] == [None, 50]
    assert leaderboard(store).others[0]["limit"] == 50


def test_filters_choose_the_boards(database: Database, store: Store) -> None:
    finished(database, (asked(), 0.6, 0.5), (asked(model="other"), 0.7, 0.6))
    finished(database, (asked("dora"), 0.6, 0.5), experiment="second")
    assert leaderboard(store, "micro", model="other").model == "other"
    assert [row.label for row in leaderboard(store, experiment="second").rows] == ["dora"]
    assert [row.label for row in leaderboard(store, run_ids=[asked().spec.run_id]).rows] == ["lora"]


def test_the_label_is_the_latest_experiments(database: Database, store: Store) -> None:
    finished(database, (asked(label="old"), 0.6, 0.5))
    database.register(asked(label="new", departures=("epochs 2 (recipe: 1)",)), experiment="second")
    assert leaderboard(store).rows[0].label == "new"
    assert leaderboard(store).rows[0].departures == ("epochs 2 (recipe: 1)",)
    assert leaderboard(store, experiment="first").rows[0].label == "old"


def test_rows_of_one_label_say_what_differs(database: Database, store: Store) -> None:
    finished(database, (asked(r=8), 0.6, 0.5))
    finished(database, (asked(r=16, learning_rate=1e-3), 0.7, 0.5), experiment="second")
    labels = [row.label for row in leaderboard(store).rows]
    assert labels == ["lora r=16 learning_rate=0.001", "lora r=8 learning_rate=0.0003"]


def test_rows_that_nothing_shown_tells_apart_get_their_run_id(database: Database, store: Store) -> None:
    finished(database, (asked("lora", label="mine"), 0.6, 0.5))
    finished(database, (asked("dora", label="mine"), 0.7, 0.5), experiment="second")
    runs = asked("dora"), asked("lora")
    assert [row.label for row in leaderboard(store).rows] == [f"mine ({run.spec.run_id[:6]})" for run in runs]


def test_shares_and_other_metrics_have_no_common_average(database: Database, store: Store) -> None:
    database.register(asked())
    with open_store(database.url) as writer:
        claim = writer.claim(asked().spec.run_id, "worker", "cpu")
        for (task, (value, stderr)), metric in zip(scores(0.6, 0.5).items(), ("accuracy", "perplexity"), strict=True):
            writer.record_task(claim, TaskResult(task, "1", "f", (Score(metric, value, stderr, 9),), (), 1.0))
    board = leaderboard(store)
    assert board.rows[0].average is None
    assert [score.value for score in board.rows[0].scores.values()] == pytest.approx([60, 0.5])
    assert "No average: the tasks are measured in different metrics." in board.notes


def test_scores_of_a_changed_task_are_missing_not_mixed(database: Database, store: Store) -> None:
    old, new = asked("lora"), asked("dora")
    database.register(old, new)
    database.complete(old, scores(0.9, 0.9), fingerprint="f1")
    database.complete(new, scores(0.5, 0.5), fingerprint="f2")
    board = leaderboard(store)
    assert [row.label for row in board.rows] == ["dora"]
    assert any("another version" in note for note in board.notes)


def test_a_run_scored_again_on_a_changed_task_shows_the_new_score(database: Database, store: Store) -> None:
    database.register(asked())
    database.complete(asked(), scores(0.9, 0.9), fingerprint="f1")
    database.complete(asked(), scores(0.5, 0.5), fingerprint="f2")
    (row,) = leaderboard(store).rows
    assert row.scores[TASKS[0]].value == pytest.approx(50)


@pytest.mark.parametrize(
    ("asked_for", "message"),
    [
        ({"experiment": "frist"}, "unknown experiment 'frist', did you mean 'first'?"),
        ({"benchmark": "mirco"}, "unknown benchmark 'mirco', did you mean 'micro'?"),
        ({"model": "tinny"}, "unknown model 'tinny', did you mean 'tiny'?"),
    ],
)
def test_unknown_names_get_the_nearest(
    database: Database, store: Store, asked_for: dict[str, str], message: str
) -> None:
    finished(database, (asked(), 0.6, 0.5))
    with pytest.raises(NotFoundError) as caught:
        leaderboards(store, **asked_for)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_nothing_scored_yet_says_what_there_is(database: Database, store: Store) -> None:
    with pytest.raises(NotFoundError, match="no results in this database yet; harness run"):
        leaderboard(store)
    finished(database, (asked(), 0.6, 0.5))
    database.register(asked("dora"), experiment="second")
    assert leaderboards(store, experiment="second") == ()
    with pytest.raises(NotFoundError, match=r"no results for experiment 'second' yet; there is micro \(tiny\)"):
        leaderboard(store, experiment="second")


def test_a_report_changes_no_byte(database: Database) -> None:
    finished(database, (asked(), 0.6, 0.5))
    before = database.path.read_bytes()
    with open_store(database.url, read_only=True) as store:
        leaderboard(store).to_json()
    assert database.path.read_bytes() == before
    assert [path.name for path in database.path.parent.iterdir()] == ["results.db"]


def test_the_json_has_the_promised_fields(database: Database, store: Store) -> None:
    finished(database, (asked(), 0.6, 0.5))
    found = leaderboard(store).to_json()
    assert {"benchmark", "model", "limit", "data", "tasks", "rows", "failed", "published", "others"} <= set(found)
    row = {"rank", "group", "label", "method", "model", "trainable_params", "trainable_percent", "seeds", "scores"}
    assert row | {"average"} <= set(found["rows"][0])
    assert found["data"] == {"train": "micro", "fraction": 1.0, "limit": None, "validation": 0}
    assert (found["tasks"], found["published"], found["rows"][0]["seeds"]) == (list(TASKS), [], 1)


def test_a_board_turns_into_a_data_frame(database: Database, store: Store) -> None:
    pandas = pytest.importorskip("pandas")
    finished(database, (asked(), 0.6, 0.5), (asked("dora"), 0.7, 0.6))
    frame = leaderboard(store).to_dataframe()
    assert pandas.DataFrame(leaderboard(store)).equals(frame)
    assert list(frame["label"]) == ["dora", "lora"]
    assert list(frame["average"]) == pytest.approx([65, 55])


def test_reports_need_no_torch() -> None:
    heavy = {"torch", "transformers", "peft", "trl", "lm_eval", "datasets", "pandas", "rich", "numpy"}
    code = f"import sys, harness.report.leaderboard, harness.report.render; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
