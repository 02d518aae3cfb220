"""JSON Schemas (draft 2020-12) of all records, made from the dataclasses of `coro.records` themselves.

The types come from the hints, the descriptions from the docstrings, whose entries read "name, name: text"; so the
published schema cannot differ from what is sent.  Fields may be added in later versions: every object allows more.
"""

from __future__ import annotations

import re
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final

from coro import records

__all__ = ["DIALECT", "SCHEMAS", "schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: Final[dict[str, type]] = {
    "coro.thread/1": records.ThreadRecord,
    "coro.stack/1": records.StackRecord,
    "coro.stack-group/1": records.StackGroupRecord,
    "coro.thread-detail/1": records.ThreadDetailRecord,
    "coro.why/1": records.WhyRecord,
    "coro.descriptor/1": records.DescriptorRecord,
    "coro.timer/1": records.TimerRecord,
    "coro.lock/1": records.LockRecord,
    "coro.daemon/1": records.DaemonRecord,
    "coro.dead/1": records.DeadRecord,
    "coro.lag/1": records.LagRecord,
    "coro.stall/1": records.StallRecord,
    "coro.loop/1": records.LoopRecord,
    "coro.health/1": records.HealthRecord,
    "coro.action/1": records.ActionRecord,
    "coro.setting/1": records.SettingRecord,
    "coro.session/1": records.SessionRecord,
    "coro.history/1": records.HistoryRecord,
    "coro.command/1": records.CommandRecord,
    "coro.evaluation/1": records.EvaluationRecord,
}

_ATOMS: Final[dict[type, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one record, by its schema's name.  Raises KeyError for an unknown name.

    A command that returns many records returns a list of those; that list has no schema of its own.
    """
    record = SCHEMAS[name]
    definitions: dict[str, Any] = {}
    body = _of_record(record, definitions)
    found = {"$schema": DIALECT, "$id": f"urn:{name.replace('/', ':').replace('.', ':')}", "title": name, **body}
    if definitions:
        found["$defs"] = dict(sorted(definitions.items()))
    return found


def _of_record(record: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    own = fields(record)
    summary, about = _described(record.__doc__ or "", [field.name for field in own])
    properties = {}
    for field in own:
        properties[field.name] = _of_type(hints[field.name], definitions)
        if field.name in about:
            properties[field.name] = {**properties[field.name], "description": about[field.name]}
    return {
        "description": summary,
        "type": "object",
        "properties": properties,
        "required": [field.name for field in own if field.default is MISSING],
        "additionalProperties": True,
    }


def _of_type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint in _ATOMS:
        return dict(_ATOMS[hint])
    if is_dataclass(hint) and isinstance(hint, type):
        key = hint.__name__.removesuffix("Record")
        if key not in definitions:
            definitions[key] = {}
            definitions[key] = _of_record(hint, definitions)
        return {"$ref": f"#/$defs/{key}"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return _of_tuple(arguments, definitions)
    if origin in (types.UnionType, typing.Union):
        options = [_of_type(argument, definitions) for argument in arguments]
        if all(set(option) == {"type"} for option in options):
            return {"type": [option["type"] for option in options]}
        return {"anyOf": options}
    if hint is Any:
        return {}
    raise TypeError(f"a record's field has the type {hint!r}, for which there is no JSON Schema")


def _of_tuple(arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": _of_type(arguments[0], definitions)}
    items = [_of_type(argument, definitions) for argument in arguments]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _described(docstring: str, names: list[str]) -> tuple[str, dict[str, str]]:
    """The summary of a docstring, and the text of each field that it describes."""
    joined = re.sub(r"\s*\n\s*", " ", docstring.strip())
    name = "|".join(map(re.escape, names))
    entry = re.compile(rf"(?:^|(?<=[.;?] )|(?<=[.;?]  ))(?P<names>(?:{name})(?:, (?:{name}))*): ")
    found = list(entry.finditer(joined))
    about: dict[str, str] = {}
    ends = [*(match.start() for match in found[1:]), len(joined)]
    for match, end in zip(found, ends, strict=False):
        text = joined[match.end() : end]
        for one in match["names"].split(", "):
            about[one] = _sentence(text)
    summary = joined[: found[0].start()] if found else joined
    return _sentence(summary), about


def _sentence(text: str) -> str:
    text = re.sub(r" {2,}", " ", text.strip()).removesuffix(";").removesuffix(".")
    # The docstrings speak of Python's values, the schema of JSON's.
    text = re.sub(r"\bNone\b", "null", text).replace("()", "[]")
    return text if text.endswith("?") or not text else f"{text}."
