"""What `harness report --published` prints, in each form."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import cli
from harness.report.published.comparison import comparison, records
from harness.report.published.render import FORMATS
from harness.spec.run import ScoreSettings

from .database import Database
from .paper import (
    LLAMA,
    changed,
    measured,
    paper_run,
)


def test_without_any_run_the_published_numbers_are_shown_alone(store):
    text = FORMATS["table"](comparison(store, experiment="rank"))

    line = next(line for line in text.splitlines() if line.startswith("DenseLoRA r=256"))
    assert line.split() == ["DenseLoRA", "r=256", "85.5", *"––––––"]


def test_a_table_tells_numbers_doubts_departures_and_claims(database, store):
    measured(database, changed(paper_run(), score=ScoreSettings()), off=-5)
    text = FORMATS["table"](comparison(store, experiment="commonsense", model=LLAMA))

    lines = text.splitlines()
    (ours,) = (line.split() for line in lines if line.startswith("DenseLoRA** "))
    assert ours == ["DenseLoRA**", "84.6", "84.6", "79.64", "-4.96", "78.9", "to", "80.3", "no", "1", "field"]
    assert "DenseLoRA**: ours differs in decoding greedy (4 beams)" in lines
    assert any(line.startswith("? VeRA: winogrande 6.18 is probably a misprint of 61.8") for line in lines)
    assert "LoRA, DoRA (half rank), DoRA: quoted from dora" in lines
    assert any("by a factor of 70" in line and "61" in line for line in lines)


def test_markdown_has_a_table_for_each_published_one(database, store):
    measured(database, paper_run())
    found = comparison(store)
    text = FORMATS["markdown"](found)

    assert text.count("| Method | Published |") == len(found.tables)
    assert r"| DenseLoRA\*\* | 84.6 | 84.6 |" in text


def test_csv_has_a_line_for_each_published_number(database, store):
    measured(database, paper_run())
    found = comparison(store, experiment="commonsense", model=LLAMA)
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](found))))

    rows = [each for table in found.tables for each in table.rows]
    assert len(lines) == sum(len(each.row.scores) + 1 for each in rows) == len(list(records(found)))
    (boolq,) = (each for each in lines if (each["label"], each["quantity"]) == ("DenseLoRA**", "boolq"))
    assert (boolq["printed"], float(boolq["ours"]), boolq["inside"]) == ("74.3", pytest.approx(74.3), "True")
    (untold,) = (each for each in lines if (each["label"], each["quantity"]) == ("NoRA", "average"))
    assert (untold["printed"], untold["ours"], untold["difference"]) == ("83.1", "", "")


def test_json_holds_recipes_doubts_and_claims(database, store):
    measured(database, paper_run())
    document = json.loads(FORMATS["json"](comparison(store, experiment="commonsense", model=LLAMA)))

    rows = {each["label"]: each for table in document["tables"] for each in table["rows"]}
    assert rows["DenseLoRA**"]["recipe"]["prompt"] == "llm_adapters_verbatim"
    assert rows["DenseLoRA**"]["ours"]["average"]["inside"] is True
    assert rows["LoKr"]["ours"] is None
    assert len(document["claims"]) == 6
    assert all(set(claim) == {"title", "text", "arithmetic", "verdict"} for claim in document["claims"])


def test_numbers_of_another_version_are_said_to_be_so(store, monkeypatch):
    monkeypatch.setattr("harness.store.published.shipped.digest", lambda: "0" * 64)
    assert "harness db upgrade renews them" in FORMATS["table"](comparison(store, experiment="rank"))


def report(database: Database, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--db", database.url, "report", *arguments])


def test_the_report_needs_neither_torch_nor_pandas(database):
    heavy = "print(*{'torch', 'pandas', 'transformers', 'matplotlib', 'lm_eval'} & {*sys.modules})"
    code = f"import sys\nfrom harness.cli.main import main\ntry:\n  main()\nfinally:\n  {heavy}"
    asked = [sys.executable, "-c", code, "--db", database.url, "report", "--published", "--experiment", "rank"]
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    assert "85.5" in found
    assert found.splitlines()[-1] == ""


def test_both_reports_may_be_asked_at_once(database):
    measured(database, paper_run())
    both = report(database, "--leaderboard", "--published", "--model", LLAMA).stdout
    assert both.index("denselora") < both.index("Table 1") < both.index("How to read this")

    document = json.loads(report(database, "--leaderboard", "--published", "--format", "json").stdout)
    assert {"rows", "published"} <= set(document)


@pytest.mark.parametrize("form", ["latex", "html"])
def test_a_form_that_it_has_not_is_refused(database, form):
    found = report(database, "--published", "--format", form)
    assert found.exit_code == 2
    assert f"--published has no --format {form}; it has table, markdown, csv and json" in found.stderr
