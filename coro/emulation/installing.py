"""Installing areas of the emulation: each once, in any order, all that were asked for or none.

An area is a module of this package with a function `install(patcher)`, which replaces names by the patcher and
does nothing else that could not be undone.  It is imported when it is first wanted.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from coro.emulation import existing, pristine, refusals
from coro.emulation.patching import copies_out_of_reach, patcher

__all__ = ["AREAS", "Report", "install", "installed", "report"]

_PACKAGE = __name__.rpartition(".")[0]
# Area -> the module that installs it.  Installed in this order, whatever the order asked for.
AREAS = {
    "thread": "threads",
    "time": "sleeping",
    "signal": "signals",
    "queue": "queues",
    "select": "selecting",
    "socket": "sockets",
    "os": "files",
    "subprocess": "processes",
    "ssl": "tls",
}
_installed: set[str] = set()
_out_of_reach: list[str] = []


@dataclass(frozen=True, slots=True)
class Report:
    """What an installation came to.

    installed: all areas that are installed now.
    out_of_reach: what goes on blocking all threads, because it was made or taken before: one text each.
    """

    installed: tuple[str, ...]
    out_of_reach: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"emulated: {', '.join(self.installed) or 'nothing'}"]
        lines += [f"out of reach: {text}" for text in self.out_of_reach]
        return "\n".join(lines)


def installed() -> frozenset[str]:
    """The areas that are installed."""
    return frozenset(_installed)


def report() -> Report:
    """What is installed, and what goes on blocking all threads."""
    return Report(
        tuple(area for area in AREAS if area in _installed), (*_out_of_reach, *copies_out_of_reach(patcher))
    )


def install(**areas: bool) -> Report:
    """Install the areas that are not installed yet, but for those that are given as False.

    areas: thread, time, signal, queue, select, socket, os, subprocess, ssl; each True if it is not given.  An area
        that is left out now can be installed later.

    To be called at the program's start, before other OS threads are started; `python -m coro` does it before
    anything of the program is imported.  Locks that exist already are replaced where they are held.
    Raises TypeError for unknown names; RuntimeError, with the reason and before anything was changed, where it is
    refused: other OS threads exist, locks are held, a loop is running.  Does not yield.
    """
    wanted = _wanted(areas)
    # Before anything is replaced: classes of the standard library must stand on their own.
    modules = {area: importlib.import_module(f"{_PACKAGE}.{name}") for area, name in AREAS.items()}
    if wanted:
        found = existing.find() if "thread" in wanted else []
        refusals.check(wanted, found)
        try:
            pristine.install(patcher)
            for area in wanted:
                modules[area].install(patcher)
        except BaseException:
            patcher.undo()
            raise
        patcher.commit()
        _installed.update(wanted)
        _out_of_reach.extend(existing.replace(found))
    return report()


def _wanted(areas: dict[str, bool]) -> list[str]:
    unknown = sorted(set(areas) - set(AREAS))
    if unknown:
        raise TypeError(
            f"install() got {', '.join(map(repr, unknown))}, which is no area of the emulation; "
            f"there are {', '.join(AREAS)}"
        )
    return [area for area in AREAS if areas.get(area, True) and area not in _installed]
