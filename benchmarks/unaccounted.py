"""The runtime without its accounting, for measuring what that costs.

Nothing of it is written to a file: while this process imports the modules named in `CHANGES`, statements are
taken out of their syntax trees. Out go the clock read at each switch, what each thread is charged with, the
watch for long slices, and what the loop counts of itself. In goes one addition: with no clock read at hand,
the rule "poll every half millisecond" is kept by counting switches.

Each change names the function and spells out the statements. If they are not found there exactly once,
the import fails: the sources have changed, and this module must follow.
"""

import ast
import dataclasses
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

# A thousand switches are taken for half a millisecond: about as many as fit into it.
ACCOUNT = """
now = self.clock()
ran = now - self.now
me.run_time_ns += ran
me.switches += 1
me.last_switch_ns = now
if ran > me.slice_mark_ns:
    if ran < self.latency_limit_ns:
        me.longest_slice_ns = me.slice_mark_ns = ran
    else:
        self.long_slice(me, ran, now)
self.now = now
"""
NO_ACCOUNT = """
now = self.now + 500
self.now = now
"""
TOTALS = """
self.ended_count += 1
self.ended_switches += me.switches
self.ended_run_time_ns += me.run_time_ns
"""
START_OF_SLICE = "scheduler.now = clock()"
LOOP_COUNTS = """
took = before - self.last_poll_ns
self.lag_histogram[took.bit_length()] += 1
if took >= LONG_TURN_NS:
    self.long_turns.append(took)
"""
POLL_COUNTS = """
self.iterations += 1
self.poll_time_ns += now - before
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """In one function of a module, consecutive statements are replaced by others."""

    module: str
    function: str
    statements: str
    replacement: str = ""


CHANGES = (
    Change("coro.scheduler", "park", ACCOUNT, NO_ACCOUNT),
    Change("coro.scheduler", "yield_slice", ACCOUNT, NO_ACCOUNT),
    Change("coro.scheduler", "carry", ACCOUNT, NO_ACCOUNT),
    Change("coro.scheduler", "carry", TOTALS),
    Change("coro.loop", "run_ready", START_OF_SLICE),
    Change("coro.loop", "_poll", LOOP_COUNTS),
    Change("coro.loop", "_poll", POLL_COUNTS),
)


class ChangeError(ImportError):
    """The sources are not what a change expects."""


def install() -> None:
    """Have the modules that `CHANGES` names imported without their accounting, in this process.

    Raises RuntimeError if one of them was imported before.
    """
    early = sorted({change.module for change in CHANGES} & sys.modules.keys())
    if early:
        raise RuntimeError(f"{', '.join(early)} was imported before its accounting could be taken out")
    sys.meta_path.insert(0, _Finder())


def changed(tree: ast.Module, change: Change) -> None:
    """Make one change in a module's tree.

    Raises ChangeError unless the function, and the statements in it, are found exactly once.
    """
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == change.function
    ]
    if len(functions) != 1:
        raise ChangeError(f"{change.module} must have one function {change.function}(), it has {len(functions)}")
    wanted = [ast.dump(statement) for statement in ast.parse(change.statements).body]
    places = [
        (body, start)
        for node in ast.walk(functions[0])
        for body in _bodies(node)
        for start in range(len(body) - len(wanted) + 1)
        if [ast.dump(statement) for statement in body[start : start + len(wanted)]] == wanted
    ]
    if len(places) != 1:
        raise ChangeError(
            f"{change.module}.{change.function}() must have these statements once, it has them "
            f"{len(places)} times:{change.statements.rstrip()}"
        )
    body, start = places[0]
    body[start : start + len(wanted)] = ast.parse(change.replacement).body


def _bodies(node: ast.AST) -> list[list[ast.stmt]]:
    fields = (getattr(node, name, None) for name in ("body", "orelse", "finalbody"))
    return [field for field in fields if isinstance(field, list)]


class _Loader(importlib.machinery.SourceFileLoader):
    """Compile a module from its source, changed; cached bytecode is neither read nor written."""

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        for change in CHANGES:
            if change.module == fullname:
                changed(tree, change)
        return compile(ast.fix_missing_locations(tree), path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    """Find the modules that are to be changed, and leave all others to the usual finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in {change.module for change in CHANGES}:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname, found.origin, loader=_Loader(fullname, found.origin)
        )
