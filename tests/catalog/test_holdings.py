"""Which files of the catalog are here, and getting those that are not."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from harness.catalog import data
from harness.catalog.benchmarks import benchmarks
from harness.catalog.data import DataFile, data_sets
from harness.catalog.files import locate
from harness.catalog.holdings import collections, fetch, fetch_url, holding, named, url_path
from harness.catalog.origins import Origin, origins
from harness.errors import NotFoundError, PrerequisiteError
from harness.paths import downloads

from ..file_server import FileServer

TEXT = b'[{"instruction": "1 + 1?", "output": "2"}]'
GIT = hashlib.sha1(b"blob %d\0" % len(TEXT) + TEXT, usedforsecurity=False).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """A server that is the origin of `mine/train.json`."""
    with FileServer() as found:
        found.files["there/train.json"] = TEXT
        monkeypatch.setitem(origins(), "mine/train.json", Origin(found.url("there/train.json"), GIT))
        yield found


MINE = DataFile("mine/train.json")


def test_every_file_of_the_catalog_that_does_not_come_with_the_package_has_an_origin():
    for collection in collections().values():
        for file in collection.files:
            embedded = file.file.startswith("embedded:")
            assert (holding(file).state == "embedded") == embedded == (file.origin is None), file
            assert embedded or file.origin.url.startswith("https://")
            assert embedded or len(file.origin.git) == 40


def test_the_papers_training_sets_are_named():
    commonsense = {
        "boolq",
        "piqa",
        "social_i_qa",
        "hellaswag",
        "winogrande",
        "arc_easy",
        "arc_challenge",
        "openbookqa",
    }
    assert data_sets().keys() > commonsense | {"commonsense_170k", "math_10k", "gsm8k"}


def test_a_missing_file_is_fetched_to_where_it_is_looked_for(folder, server):
    assert holding(MINE).state == "missing"
    with pytest.raises(PrerequisiteError, match="`harness data fetch mine` gets it, or put it there"):
        locate("mine/train.json", "mine")

    assert fetch(MINE) == folder / "data" / "mine" / "train.json" == locate("mine/train.json")
    assert fetch(MINE) == locate("mine/train.json")
    assert len(server.asked) == 1
    found = holding(MINE)
    assert (found.state, found.size, found.fault) == ("ok", len(TEXT), None)


def test_another_file_in_its_place_is_told_not_overwritten(folder, server):
    path = folder / "data" / "mine" / "train.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")

    assert holding(MINE).state == "differs"
    with pytest.raises(PrerequisiteError, match=f"{path} is not the file .*git id .*move it away first"):
        fetch(MINE)
    assert path.read_text() == "[]"


def test_a_recorded_sha256_counts_before_the_git_id(folder, server):
    fetch(MINE)
    assert holding(replace(MINE, sha256="0" * 64)).fault.startswith("SHA-256")
    assert holding(replace(MINE, sha256=hashlib.sha256(TEXT).hexdigest())).state == "ok"


def test_a_file_without_an_address_is_the_users_to_find(folder):
    with pytest.raises(
        PrerequisiteError, match=f"no public address that the catalog knows; put it into {folder}/data"
    ):
        fetch(DataFile("yours.json"))


def test_a_name_means_a_training_set_a_task_a_benchmark_or_a_file():
    assert [found.name for found in named("boolq")] == ["boolq"]
    assert [file.file for found in named("llm_adapters_boolq") for file in found.files] == ["boolq/test.json"]
    assert [found.name for found in named("commonsense")] == list(benchmarks()["commonsense"].tasks)
    assert [file.file for found in named("boolq/test.json") for file in found.files] == ["boolq/test.json"]
    with pytest.raises(NotFoundError, match="'comonsense', did you mean 'commonsense'"):
        named("comonsense")


def test_a_file_asked_in_several_wordings_is_one_file():
    asked = data.data_sets()["commonsense_4_reworded"].files
    assert len(asked) == 7
    assert len(named("commonsense_4_reworded")[0].files) == 4


def test_data_goes_to_the_first_folder_that_can_be_written_to(folder, monkeypatch):
    assert downloads() == folder / "data"
    (folder / "file").write_text("no folder")
    monkeypatch.setenv("HARNESS_DATA", f"{folder}/file/first:{folder}/second")
    assert downloads() == folder / "second"
    monkeypatch.delenv("HARNESS_DATA")
    assert downloads() == folder / ".harness" / "data"


def test_the_file_of_an_address_is_fetched_once(folder, server):
    url = server.url("there/train.json")
    assert fetch_url(url) == fetch_url(url) == url_path(url)
    assert url_path(url).read_bytes() == TEXT
    assert len(server.asked) == 1
    assert url_path(url) != url_path(url + "?version=2")
    assert url_path(url + "?version=2").name == "train.json"


def test_the_file_of_an_address_must_be_what_its_sha256_says(folder, server):
    url = server.url("there/train.json")
    with pytest.raises(PrerequisiteError, match="gave another file than expected"):
        fetch_url(url, "0" * 64)
    fetch_url(url)
    with pytest.raises(PrerequisiteError, match="remove it to fetch it again"):
        fetch_url(url, "0" * 64)
    assert fetch_url(url, hashlib.sha256(TEXT).hexdigest()) == url_path(url)
