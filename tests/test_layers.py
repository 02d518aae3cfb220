"""Imports point down only, as in the table of docs/design.md; and `import coro` does nothing but import.

The check reads the source with `ast`, so an import inside a function or under TYPE_CHECKING counts like any
other. A new module needs a line in LAYERS.
"""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
THIS = Path(__file__).relative_to(ROOT)

# Layer to the modules and packages directly under coro/.
LAYERS = {
    0: "exceptions clock records wire",
    1: "poller timers wakeup",
    2: (
        "state run_queue thread timed descriptor_state descriptors scheduler loop runtime tb signals leftovers "
        "forking readiness collector hooks stderr"
    ),
    3: (
        "timeouts sync fifo local parallel group pool signal_handler os_thread process latency clocks shield guests"
    ),
    4: "socket read_stream resolve connecting server",
    5: "__main__ emulation ssl dns aio profiler testing",
    6: "inspect",
    7: "backdoor",
    8: "gunicorn",
}
# Apart from the layers: what each may import of coro. Nobody imports them.
APART = {"console": {"records", "wire"}}
# What `import coro` may bring along; the layers above are imported by name.
HIGHEST_LAYER_OF_INIT = 4

LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names.split()}


@dataclass(frozen=True, slots=True)
class Import:
    """One import of something of ours. `star` is for any module, ours or not."""

    importer: str
    target: str
    where: str
    star: bool = False


def module_names(package: Path) -> dict[str, Path]:
    """Dotted name to file, of every module under the package's folder."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports_of(package: Path) -> list[Import]:
    """Every import of `package` by one of its own modules, and every star import."""
    modules = module_names(package)
    found = []
    for importer, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for node in ast.walk(tree):
            for target, star in targets_of(node, importer, path.name == "__init__.py", modules):
                if star or target.split(".")[0] == package.name:
                    where = f"{path.relative_to(package.parent)}:{getattr(node, 'lineno', 0)}"
                    found.append(Import(importer, target, where, star))
    return found


def targets_of(
    node: ast.AST, importer: str, is_package: bool, modules: dict[str, Path]
) -> Iterator[tuple[str, bool]]:
    """Yield (dotted module, is it a star import) for each module that the node imports."""
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield alias.name, False
        case ast.ImportFrom(module=module, names=names, level=level):
            base = module or ""
            if level:
                parents = importer.split(".")
                parents = parents[: len(parents) - level + is_package]
                base = ".".join([*parents, *([module] if module else [])])
            for alias in names:
                # `from package import name` means the submodule where there is one.
                submodule = f"{base}.{alias.name}"
                yield submodule if submodule in modules else base, alias.name == "*"
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            yield name, False


def component(module: str) -> str:
    """The name directly under the package: "poller" for "coro.poller.epoll"; "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def problems_of(package: Path) -> list[str]:
    """Everything that is wrong with the imports under the package's folder, a sentence each."""
    found = imports_of(package)
    names = {component(module): path for module, path in reversed(module_names(package).items())}
    problems = [
        f"{path.relative_to(package.parent)}: {name!r} is in no layer; add it to LAYERS in {THIS}"
        for name, path in sorted(names.items())
        if name and name not in LAYER_OF and name not in APART
    ]
    for item in found:
        if item.star:
            problems.append(f"{item.where}: star import from {item.target}")
        elif problem := arrow_problem(item, package.name):
            problems.append(f"{item.where}: {problem}")
    return problems + circles_of(package.name, found)


def arrow_problem(item: Import, package: str) -> str | None:
    """Say what is wrong with one import, or None."""
    source, target = component(item.importer), component(item.target)
    if target == "":
        return f"{item.importer} imports the package {package} itself; import the defining module"
    if source == target:
        return None
    if source in APART:
        allowed = APART[source]
        return None if target in allowed else f"{source} may import only {sorted(allowed)}, not {target}"
    if target in APART:
        return f"{source} imports {target}, which stands apart: nobody imports it"
    if target not in LAYER_OF:
        return None
    layer = LAYER_OF[target]
    if source == "":
        if layer <= HIGHEST_LAYER_OF_INIT:
            return None
        return f"{package}/__init__.py imports {target} of layer {layer}; the limit is {HIGHEST_LAYER_OF_INIT}"
    if source in LAYER_OF and layer > LAYER_OF[source]:
        return f"arrow up: {source} (layer {LAYER_OF[source]}) imports {target} (layer {layer})"
    return None


def circles_of(package: str, found: list[Import]) -> list[str]:
    """Look for a circle among the files, then among the components (it may run through two files of one)."""
    files: dict[str, set[str]] = {}
    components: dict[str, set[str]] = {}
    for item in found:
        if component(item.target) == "":
            continue
        # Importing a.b.c runs a/b/__init__.py first; a module's own parents run already when it is imported.
        parents = item.target.split(".")
        for end in range(2, len(parents) + 1):
            target = ".".join(parents[:end])
            if target == item.target or not f"{item.importer}.".startswith(f"{target}."):
                files.setdefault(item.importer, set()).add(target)
        if component(item.importer) != component(item.target):
            components.setdefault(component(item.importer), set()).add(component(item.target))
    problems = []
    for kind, graph in (("modules", files), (f"parts of {package}", components)):
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            problems.append(f"circle of {kind}: {' -> '.join(reversed(error.args[1]))}")
            break
    return problems


def test_imports_point_down_only() -> None:
    problems = problems_of(ROOT / "coro")

    assert not problems, "\n".join(problems)


def plant(folder: Path, files: dict[str, str]) -> Path:
    """Write a package `coro` of these files, path to text, with an empty __init__.py in each folder."""
    package = folder / "coro"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for directory in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (directory / "__init__.py").touch()
    return package


def test_house_in_order_has_no_problem(tmp_path: Path) -> None:
    package = plant(
        tmp_path,
        {
            "__init__.py": "from coro.socket import sock\nfrom coro.timers import Timers",
            "timers.py": "import heapq\nfrom coro.clock import Clock",
            "clock.py": "import time",
            "poller/__init__.py": "from coro.poller.epoll import Epoll",
            "poller/base.py": "",
            "poller/epoll.py": "from coro.poller import base",
            "socket/__init__.py": "from coro.socket.stream import sock",
            "socket/stream.py": "from coro.fifo import fifo\nfrom .. import poller\nfrom . import options",
            "socket/options.py": "def late():\n    import coro.timers",
            "fifo.py": "from coro.local import ThreadLocal",
            "local.py": "",
            "records.py": "",
            "console/__init__.py": "from coro.records import ThreadRecord\nimport coro.console.view",
            "console/view.py": "import prompt_toolkit",
        },
    )

    assert problems_of(package) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"timers.py": "from coro.scheduler import Scheduler"},
            "coro/timers.py:1: arrow up: timers (layer 1) imports scheduler (layer 2)",
            id="arrow up",
        ),
        pytest.param(
            {"poller/epoll.py": "\ndef late():\n    import coro.socket.stream"},
            "coro/poller/epoll.py:3: arrow up: poller (layer 1) imports socket (layer 4)",
            id="arrow up inside a function",
        ),
        pytest.param(
            {"thread.py": "import typing\nif typing.TYPE_CHECKING:\n    from coro.sync.mutex import mutex"},
            "coro/thread.py:3: arrow up: thread (layer 2) imports sync (layer 3)",
            id="arrow up for types only",
        ),
        pytest.param(
            {"clock.py": "import importlib\nimportlib.import_module('coro.timers')"},
            "coro/clock.py:2: arrow up: clock (layer 0) imports timers (layer 1)",
            id="arrow up through importlib",
        ),
        pytest.param(
            {"sync/mutex.py": "from ..socket import sock", "socket/__init__.py": ""},
            "coro/sync/mutex.py:1: arrow up: sync (layer 3) imports socket (layer 4)",
            id="relative arrow up",
        ),
        pytest.param(
            {"fifo.py": "from coro import socket", "socket/__init__.py": ""},
            "coro/fifo.py:1: arrow up: fifo (layer 3) imports socket (layer 4)",
            id="arrow up through a submodule's name",
        ),
        pytest.param(
            {"fifo.py": "import coro.local", "local.py": "def late():\n    from coro.fifo import fifo"},
            "circle of modules: coro.fifo -> coro.local -> coro.fifo",
            id="circle",
        ),
        pytest.param(
            {"sync/a.py": "import coro.sync.b", "sync/b.py": "from coro.sync.a import A"},
            "circle of modules: coro.sync.a -> coro.sync.b -> coro.sync.a",
            id="circle inside a package",
        ),
        pytest.param(
            {"sync/__init__.py": "import coro.sync.a", "sync/a.py": "from coro.sync import name"},
            "circle of modules: coro.sync -> coro.sync.a -> coro.sync",
            id="circle through the package's own __init__",
        ),
        pytest.param(
            {"fifo.py": "import coro.sync.b", "sync/a.py": "import coro.fifo", "sync/b.py": ""},
            "circle of parts of coro: fifo -> sync -> fifo",
            id="circle of parts through different files",
        ),
        pytest.param(
            {"novelty.py": ""},
            "coro/novelty.py: 'novelty' is in no layer; add it to LAYERS in tests/test_layers.py",
            id="unknown module",
        ),
        pytest.param({"fifo.py": "from os import *"}, "coro/fifo.py:1: star import from os", id="star"),
        pytest.param(
            {"fifo.py": "from coro import spawn"},
            "coro/fifo.py:1: coro.fifo imports the package coro itself; import the defining module",
            id="import of the package itself",
        ),
        pytest.param(
            {"__init__.py": "import coro.ssl"},
            "coro/__init__.py:1: coro/__init__.py imports ssl of layer 5; the limit is 4",
            id="__init__ imports an adapter",
        ),
        pytest.param(
            {"console/view.py": "from coro.runtime import spawn"},
            "coro/console/view.py:1: console may import only ['records', 'wire'], not runtime",
            id="console imports the runtime",
        ),
        pytest.param(
            {"backdoor/server.py": "import coro.console"},
            "coro/backdoor/server.py:1: backdoor imports console, which stands apart: nobody imports it",
            id="runtime imports the console",
        ),
    ],
)
def test_planted_fault_is_found(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    problems = problems_of(plant(tmp_path, files))

    # A circle has no first module: accept it turned.
    turned = [expected]
    if expected.startswith("circle"):
        kind, _, path = expected.partition(": ")
        names = path.split(" -> ")[:-1]
        turned = [f"{kind}: {' -> '.join(names[i:] + names[: i + 1])}" for i in range(len(names))]
    assert len(problems) == 1, problems
    assert problems[0] in turned


# What importing coro must not bring along: slow to import, or not for every daemon.
NOT_AT_IMPORT = [
    "asyncio",
    "coro.backdoor",
    "coro.inspect",
    "coro.testing",
    "json",
    "prompt_toolkit",
    "pygments",
    "ssl",
]

# Run without site-packages' own start-up files, which may import anything themselves.
PROBE = """
import os, signal, sys, threading
sys.path[:0] = PATHS

def snapshot():
    tasks = "/proc/self/task"
    return {
        "descriptors": sorted(os.listdir("/dev/fd")),
        "OS threads": len(os.listdir(tasks) if os.path.isdir(tasks) else threading.enumerate()),
        "signal handlers": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "wake-up descriptor": signal.set_wakeup_fd(-1),
    }

before = snapshot()
already = [name for name in FORBIDDEN if name in sys.modules]
import MODULE
after = snapshot()
changed = [name for name in before if before[name] != after[name]]
imported = [name for name in FORBIDDEN if name in sys.modules]
print(repr((already, changed, imported)))
"""


def side_effects_of_import(module: str, root: Path) -> tuple[list[str], list[str], list[str]]:
    """Import in a fresh interpreter; returns (forbidden before, facts that changed, forbidden after)."""
    greenlet = find_spec("greenlet")
    assert greenlet is not None
    assert greenlet.origin is not None
    paths = [str(root), str(Path(greenlet.origin).parent.parent)]
    script = PROBE.replace("PATHS", repr(paths)).replace("FORBIDDEN", repr(NOT_AT_IMPORT))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", script.replace("MODULE", module)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    already, changed, imported = ast.literal_eval(done.stdout)
    return already, changed, imported


def test_importing_coro_does_nothing_else() -> None:
    already, changed, imported = side_effects_of_import("coro", ROOT)

    assert already == [], "these were imported before coro, so nothing is shown of it"
    assert imported == []
    assert changed == []


def test_side_effects_at_import_are_found(tmp_path: Path) -> None:
    (tmp_path / "guilty.py").write_text(
        "import json, os, signal, threading, time\n"
        "KEPT = os.open(os.devnull, os.O_RDONLY)\n"
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
    )

    _, changed, imported = side_effects_of_import("guilty", tmp_path)

    assert imported == ["json"]
    assert changed == ["descriptors", "OS threads", "signal handlers"]
