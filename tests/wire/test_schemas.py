"""The published schemas, and that what is sent keeps to them."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from coro.wire.commands import COMMANDS
from coro.wire.encode import to_plain
from coro.wire.schemas import DIALECT, SCHEMAS, schema
from tests.wire.samples import SAMPLES

ROOT = Path(__file__).parent.parent.parent


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(schema(name))


def test_every_schema_has_samples_and_every_command_a_schema() -> None:
    assert set(SAMPLES) == set(SCHEMAS)
    assert {command.schema for command in COMMANDS.values()} <= set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_one(name: str) -> None:
    found = schema(name)

    jsonschema.Draft202012Validator.check_schema(found)
    assert found["$schema"] == DIALECT
    assert found["title"] == name
    assert found["description"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_records_keep_to_their_schema(name: str) -> None:
    for record in SAMPLES[name]:
        validator(name).validate(to_plain(record))


@pytest.mark.parametrize("name", SCHEMAS)
def test_more_fields_are_allowed_and_fewer_are_not(name: str) -> None:
    plain = to_plain(SAMPLES[name][0])

    assert validator(name).is_valid({**plain, "novelty": [1]})
    for field in schema(name)["required"]:
        assert not validator(name).is_valid({key: value for key, value in plain.items() if key != field})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("coro.thread/1", {"id": "17"}),
        ("coro.thread/1", {"state": "asleep"}),
        ("coro.thread/1", {"waiting_s": "3 s"}),
        ("coro.thread/1", {"turn": None}),
        ("coro.stack/1", {"frames": [{"file": "x"}]}),
        ("coro.thread-detail/1", {"spawn_chain": [[1, "main"]]}),
        ("coro.thread-detail/1", {"spawn_chain": [[1, "main", None, 5]]}),
        ("coro.health/1", {"checks": None}),
        ("coro.why/1", {"cycle": ["a"]}),
    ],
)
def test_wrong_values_are_refused(name: str, change: dict[str, Any]) -> None:
    assert not validator(name).is_valid({**to_plain(SAMPLES[name][0]), **change})


def test_descriptions_come_from_the_docstrings() -> None:
    fields = schema("coro.thread/1")["properties"]

    assert fields["share"]["description"] == "run time divided by the loop's age, 0 to 1."
    assert fields["waiting_for"]["description"] == fields["waiting_on"]["description"]
    assert fields["waiting_for"]["description"].endswith("null unless waiting.")
    assert schema("coro.timer/1")["properties"]["thread"]["description"] == "whom it wakes or interrupts."
    assert schema("coro.health/1")["description"] == "Is the daemon well?"


def test_field_with_a_default_may_be_missing_as_older_daemons_do_not_send_it() -> None:
    assert schema("coro.stack/1")["$defs"]["Frame"]["required"] == ["file", "line", "function", "source"]


def test_unknown_schema_is_an_error() -> None:
    with pytest.raises(KeyError):
        schema("coro.thread/2")


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "docs" / "generate.py")
    return subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, timeout=30
    )


def test_generated_pages_are_what_the_program_says() -> None:
    result = generate("--check")

    assert result.stderr == ""
    assert result.returncode == 0


def test_generator_refuses_what_it_does_not_know() -> None:
    assert generate("--chekc").returncode == 2


def test_jsonschema_is_installed_for_development() -> None:
    assert importlib.metadata.version("jsonschema")
