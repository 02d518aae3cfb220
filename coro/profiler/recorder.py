"""Taking a profile: which function ran for how long, called by whom.

Facts about the world that shaped this file:
- The interpreter's profiling hook is set per OS thread, but before CPython 3.12 whether it is called is remembered
  per greenlet.  So the hook is set again in each greenlet that is switched to.
- `greenlet.settrace` calls back at every switch, in the greenlet that is switched to.
- Time is charged to the innermost function of the greenlet that runs, so a function that waits is charged nothing.

Invariant: `_stack` is the stack of the greenlet that runs; its entries are pushed by calls and popped by returns.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, field
from time import perf_counter_ns
from types import CodeType, FrameType
from typing import Any

import greenlet

__all__ = ["FunctionProfile", "Profile", "Recorder"]

# A code object, or the text of a builtin function.
Key = CodeType | str


@dataclass(slots=True)
class FunctionProfile:
    """What is known of one function.

    calls: how often it was called.
    self_ns, total_ns: how long it ran, without and with what it called.
    callees: {key: [calls, nanoseconds with what they called]}.
    """

    calls: int = 0
    self_ns: int = 0
    total_ns: int = 0
    callees: dict[Key, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """A finished profile.

    wall_ns, run_ns: how long it was taken, and how long functions ran in that time.
    switches: how often a greenlet was switched to.
    """

    functions: dict[Key, FunctionProfile]
    wall_ns: int
    run_ns: int
    switches: int


class _Stack:
    """The calls that one greenlet is in: (key, its running time when the call began), outermost first."""

    __slots__ = ("depth", "entries", "run_ns")

    def __init__(self) -> None:
        self.entries: list[tuple[Key, int]] = []
        self.run_ns = 0
        # How often each function is in it: only the outermost call of a recursion adds to the total.
        self.depth: dict[Key, int] = {}


class Recorder:
    """Takes one profile of the OS thread that calls start()."""

    def __init__(self) -> None:
        self._functions: dict[Key, FunctionProfile] = {}
        self._stacks: dict[greenlet.greenlet, _Stack] = {}
        self._stack = _Stack()
        self._last = 0
        self._begin = 0
        self._end = 0
        self._switches = 0
        self._os_thread = 0

    def start(self) -> None:
        """Set the hooks.  Raises RuntimeError if somebody else has set them."""
        if sys.getprofile() is not None or greenlet.gettrace() is not None:
            raise RuntimeError("another profiler has set the interpreter's or greenlet's hook in this OS thread")
        self._os_thread = threading.get_ident()
        self._begin = perf_counter_ns()
        self._enter(greenlet.getcurrent(), sys._getframe())
        greenlet.settrace(self._switched)
        self._last = perf_counter_ns()
        sys.setprofile(self._called)

    def stop(self) -> None:
        """Take the hooks away.  Raises RuntimeError in another OS thread than start()'s."""
        if threading.get_ident() != self._os_thread:
            raise RuntimeError(f"this profile is taken in OS thread {self._os_thread}; stop it there")
        sys.setprofile(None)
        greenlet.settrace(None)
        now = perf_counter_ns()
        self._charge(now)
        self._end = now
        for stack in self._stacks.values():
            self._stack = stack
            while stack.entries:
                self._pop()

    def profile(self) -> Profile:
        """What was found, the profiler's own functions left out."""
        functions = {key: function for key, function in self._functions.items() if not _is_own(key)}
        for function in functions.values():
            function.callees = {key: edge for key, edge in function.callees.items() if key in functions}
        run_ns = sum(function.self_ns for function in functions.values())
        return Profile(functions, self._end - self._begin, run_ns, self._switches)

    # -- the hooks

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        self._charge(perf_counter_ns())
        if event == "call":
            self._push(frame.f_code)
        elif event == "c_call":
            self._push(_builtin_name(argument))
        elif self._stack.entries:
            # Returns of calls that began before the profile did find an empty stack.
            self._pop()
        self._last = perf_counter_ns()

    def _switched(self, event: str, switch: tuple[Any, Any]) -> None:
        if threading.get_ident() != self._os_thread:
            return
        self._charge(perf_counter_ns())
        self._switches += 1
        target = switch[1]
        # This runs on the target's stack, below whatever it was doing when it was switched away from.
        self._enter(target, sys._getframe().f_back)
        # Each greenlet remembers for itself whether the hook is called.
        sys.setprofile(self._called)
        self._last = perf_counter_ns()

    # -- stacks

    def _enter(self, target: greenlet.greenlet, frame: FrameType | None) -> None:
        stack = self._stacks.get(target)
        if stack is None:
            stack = self._stacks[target] = _Stack()
            self._stack = stack
            frames = []
            while frame is not None:
                frames.append(frame)
                frame = frame.f_back
            # It was in these calls before the profile began: they are charged for what they do, not counted.
            for caller in reversed(frames):
                self._push(caller.f_code, count=0)
        self._stack = stack
        if len(self._stacks) > 64 and len(self._stacks) > 2 * self._alive_at_last_look:
            self._forget_dead()

    _alive_at_last_look = 32

    def _forget_dead(self) -> None:
        self._stacks = {one: stack for one, stack in self._stacks.items() if not one.dead or stack is self._stack}
        self._alive_at_last_look = len(self._stacks)

    def _charge(self, now: int) -> None:
        stack = self._stack
        if stack.entries:
            elapsed = now - self._last
            stack.run_ns += elapsed
            self._functions[stack.entries[-1][0]].self_ns += elapsed

    def _push(self, key: Key, *, count: int = 1) -> None:
        stack = self._stack
        function = self._functions.get(key)
        if function is None:
            function = self._functions[key] = FunctionProfile()
        function.calls += count
        if stack.entries and count:
            self._functions[stack.entries[-1][0]].callees.setdefault(key, [0, 0])[0] += 1
        stack.entries.append((key, stack.run_ns))
        stack.depth[key] = stack.depth.get(key, 0) + 1

    def _pop(self) -> None:
        stack = self._stack
        key, begin = stack.entries.pop()
        ran = stack.run_ns - begin
        stack.depth[key] -= 1
        if stack.depth[key] == 0:
            del stack.depth[key]
            self._functions[key].total_ns += ran
        if stack.entries:
            edge = self._functions[stack.entries[-1][0]].callees.get(key)
            if edge is not None:
                edge[1] += ran


_OWN_FOLDER = os.path.dirname(__file__)


def _is_own(key: Key) -> bool:
    return isinstance(key, CodeType) and os.path.dirname(key.co_filename) == _OWN_FOLDER


def _builtin_name(function: Any) -> str:
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", repr(function))
    return f"{module}.{name}" if module else f"{name}"
