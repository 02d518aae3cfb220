"""The lists kept by hand: read, refused, matched."""

from pathlib import Path

import pytest

from tests.stdlib import lists
from tests.stdlib.lists import Entry, ListError


def written(folder: Path, text: str) -> Path:
    path = folder / "list.toml"
    path.write_text(text)
    return path


def test_a_list_is_read_in_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[[entry]]\ntests = ["test.a.*", "test.b.C.d"]\nreason = "one"\n'
        '[[entry]]\ntests = ["test.a.C.d"]\nreason = "two"\n',
    )
    entries = lists.read(path)
    assert entries == [Entry(("test.a.*", "test.b.C.d"), "one"), Entry(("test.a.C.d",), "two")]
    assert lists.first(entries, "test.a.C.d") == entries[0]
    assert lists.first(entries, "test.b.C.e") is None


@pytest.mark.parametrize(
    "text",
    [
        '[[entry]]\ntests = ["test.a.*"]\n',
        '[[entry]]\ntests = ["test.a.*"]\nreason = " "\n',
        '[[entry]]\ntests = []\nreason = "one"\n',
        '[[entry]]\ntests = "test.a.*"\nreason = "one"\n',
        '[[entry]]\ntests = ["test.a.*"]\nreason = "one"\nwhy = "two"\n',
        '[[entry]]\ntests = ["a.*"]\nreason = "one"\n',
    ],
)
def test_an_entry_that_is_not_whole_is_refused_by_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(ListError, match="entry 1"):
        lists.read(written(tmp_path, text))


def test_what_is_no_toml_is_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(ListError, match=r"list\.toml"):
        lists.read(written(tmp_path, "[["))


def test_the_lists_of_this_folder_can_be_read() -> None:
    assert lists.read(lists.EXCLUSIONS)
    assert all(entry.reason for entry in lists.read(lists.REASONS))
