"""Training data by name, and files by place."""

from __future__ import annotations

import hashlib

import pytest

from harness.catalog.data import FORMATS, DataFile, data_set, data_sets
from harness.catalog.files import locate, sha256_of
from harness.errors import NotFoundError, PrerequisiteError


@pytest.mark.parametrize("name", data_sets())
def test_every_data_set_has_a_title_a_format_and_files(name):
    found = data_set(name)
    assert found.title
    assert found.format in FORMATS
    assert all(file.sha256 is None or len(file.sha256) == 64 for file in found.files)


def test_the_embedded_data_is_at_hand():
    for file in data_set("micro").files:
        file.check()
        assert file.content() == sha256_of(locate(file.file))


def test_an_unknown_data_set_is_answered_with_the_nearest():
    with pytest.raises(NotFoundError, match="unknown data set 'comonsense_15k', did you mean 'commonsense_15k'"):
        data_set("comonsense_15k")


@pytest.mark.parametrize("layout", ["", "llm_adapters", "dataset", "ft-training_set"])
def test_files_are_found_in_the_layouts_that_people_have(folder, layout):
    path = folder / "data" / layout / "boolq" / "train.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")

    assert locate("boolq/train.json") == path


def test_a_missing_file_is_told_with_the_folders_searched(folder):
    searched = f"{folder}/data, {folder}/.harness/data"
    with pytest.raises(PrerequisiteError, match=f"boolq/train.json is in none of {searched}"):
        locate("boolq/train.json")
    with pytest.raises(PrerequisiteError, match=r"/gone\.json is not there"):
        locate(str(folder / "gone.json"))


def test_another_file_under_a_known_name_is_refused(folder):
    path = folder / "x.json"
    path.write_text("[1]")
    right = hashlib.sha256(b"[1]").hexdigest()

    DataFile(str(path), right).check()
    with pytest.raises(PrerequisiteError, match=r"is not the file that the catalog means .* data.train: \{path"):
        DataFile(str(path), "0" * 64).check()


def test_another_file_than_the_published_one_is_refused_where_only_its_git_id_is_known(folder):
    (folder / "data").mkdir()
    path = folder / "data" / "commonsense_170k.json"
    path.write_text('[{"instruction": "a", "output": "b"}]')
    (file,) = data_sets()["commonsense_170k"].files
    assert file.sha256 is None
    with pytest.raises(
        PrerequisiteError, match=r"is not the file that the catalog means by .* \(git id .* expected 529e"
    ):
        file.check()


def test_content_is_that_of_the_copy_at_hand_where_nothing_is_recorded(folder):
    path = folder / "x.json"
    assert DataFile(str(path)).content() is None
    path.write_text("[1]")
    before = DataFile(str(path)).content()
    path.write_text("[2, 3]")

    assert before != DataFile(str(path)).content() == sha256_of(path)
