"""The table of commands: the source of the prompt's help, the shell's parser, completion and the reference page.

A command has a name, a role, parameters and the name of the schema of its result.  How it is carried out stands in
`coro.backdoor`; how its result looks, in `coro.wire.present`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from coro.wire.protocol import Role

__all__ = ["COMMANDS", "Command", "Group", "Kind", "Parameter", "command_named", "schema_of"]

# What an argument is, as typed:
#   thread    the id of a live thread, an int
#   target    an id, or the word "all"
#   rest      all that is left of the line, unsplit
Kind = Literal["int", "float", "str", "flag", "thread", "target", "rest"]
Group = Literal["look", "act", "session"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a command.

    option: None for a positional one, else its spellings at a prompt, such as ("-s", "--sort").
    many: takes several values, one at least if required.
    presentation: used where the result is shown, never sent to the daemon.
    choices: the words allowed; () for any.
    """

    name: str
    kind: Kind
    summary: str
    required: bool = False
    default: Any = None
    option: tuple[str, ...] | None = None
    many: bool = False
    presentation: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    schema: the name of its result's schema, "coro.thread/1"; many: the result is a list of those.
    where: "both" works at the prompt and at the shell; "prompt" and "shell" only there.
    by_sentinel: answered, read only, also while the loop is stuck.
    examples: as typed after the colon or after `coro`.
    """

    name: str
    role: Role
    group: Group
    summary: str
    schema: str
    parameters: tuple[Parameter, ...] = ()
    many: bool = False
    where: Literal["both", "prompt", "shell"] = "both"
    by_sentinel: bool = False
    description: str = ""
    examples: tuple[str, ...] = field(default=())


_ID = Parameter("id", "thread", "the thread's id, as `ps` shows it", required=True)
_SORTS = ("run", "wait", "idle", "switches", "id", "name")
_FILTER = Parameter(
    "filter",
    "str",
    "show only records for which this holds: a comparison over their fields, such as "
    "'state == \"waiting\" and waiting_s > 5'",
    option=("-f", "--filter"),
    presentation=True,
)
_LIMIT = Parameter("limit", "int", "show at most so many", option=("-n", "--limit"), presentation=True)
_CHECK_PARAMETERS = (
    Parameter("warn_lag", "float", "warn from this lag on, in seconds", default=0.1, option=("--warn-lag",)),
    Parameter("crit_lag", "float", "critical from this lag on, in seconds", default=1.0, option=("--crit-lag",)),
    Parameter("warn_stall", "float", "warn from this stall on, in seconds", default=1.0, option=("--warn-stall",)),
    Parameter(
        "crit_stall", "float", "critical from this stall on, in seconds", default=5.0, option=("--crit-stall",)
    ),
    Parameter("max_threads", "int", "critical if more threads than this are alive", option=("--max-threads",)),
    Parameter(
        "require",
        "str",
        "critical unless a live thread has this name; may be repeated",
        option=("--require",),
        many=True,
    ),
    Parameter(
        "expr",
        "str",
        "critical unless this comparison holds, such as 'threads < 5000'; may be repeated",
        option=("--expr",),
        many=True,
        presentation=True,
    ),
    Parameter(
        "deadlock",
        "str",
        "what a confirmed deadlock is",
        default="warning",
        option=("--deadlock",),
        choices=("ok", "warning", "critical"),
    ),
)

_TABLE: Final[tuple[Command, ...]] = (
    # -- look
    Command(
        "ps",
        "observe",
        "look",
        "list all threads: state, what each waits for, its account, who spawned it",
        "coro.thread/1",
        (
            Parameter(
                "sort", "str", "the order", default="id", option=("-s", "--sort"), choices=_SORTS, presentation=True
            ),
            _FILTER,
            _LIMIT,
        ),
        many=True,
        by_sentinel=True,
        examples=("ps", "ps -s run -n 10", "ps -f 'waiting_s > 60'"),
    ),
    Command(
        "where",
        "observe",
        "look",
        "show where a thread stands, or all of them",
        "coro.stack/1",
        (
            Parameter("target", "target", "a thread's id, or all", required=True),
            Parameter(
                "group", "flag", "count threads at the same place once, biggest first", option=("-g", "--group")
            ),
            _LIMIT,
        ),
        many=True,
        by_sentinel=True,
        description=(
            "The stacks of asyncio tasks follow that of the thread that they run in.  With --group the records are "
            "of schema coro.stack-group/1, and tasks are left out."
        ),
        examples=("where 17", "where all --group"),
    ),
    Command(
        "info",
        "observe",
        "look",
        "show everything about one thread, its spawn chain included",
        "coro.thread-detail/1",
        (_ID,),
        by_sentinel=True,
        examples=("info 17",),
    ),
    Command(
        "tree",
        "observe",
        "look",
        "show who spawned whom",
        "coro.thread/1",
        (_FILTER, _LIMIT),
        many=True,
        description="Asyncio tasks stand below the thread that they run in; in their records, `task` is the name.",
        examples=("tree", "tree -f 'task == None'"),
    ),
    Command(
        "why",
        "observe",
        "look",
        "show what a thread waits for, who holds that, and so on; names deadlocks",
        "coro.why/1",
        (Parameter("target", "target", "a thread's id, or all for every deadlock", required=True),),
        many=True,
        description="A list of one for an id; for all, one for each deadlock.",
        examples=("why 17", "why all"),
    ),
    Command(
        "fds",
        "observe",
        "look",
        "show the descriptors that the poller knows, and who waits for them",
        "coro.descriptor/1",
        (_FILTER, _LIMIT),
        many=True,
        examples=("fds",),
    ),
    Command(
        "timers",
        "observe",
        "look",
        "show the armed timers, soonest first",
        "coro.timer/1",
        (_FILTER, _LIMIT),
        many=True,
        examples=("timers -n 20",),
    ),
    Command(
        "locks",
        "observe",
        "look",
        "show the locks, queues and events that somebody waits for, most awaited first",
        "coro.lock/1",
        (_FILTER, _LIMIT),
        many=True,
        examples=("locks",),
    ),
    Command(
        "dead",
        "observe",
        "look",
        "show the threads that ended lately, and why; latest first",
        "coro.dead/1",
        (_FILTER, _LIMIT),
        many=True,
        examples=("dead", "dead -f 'error != None'"),
    ),
    Command(
        "lag",
        "observe",
        "look",
        "show how late the loop is: percentiles of the last 10 s, of 5 min and since the start",
        "coro.lag/1",
        by_sentinel=True,
        examples=("lag",),
    ),
    Command(
        "stalls",
        "observe",
        "look",
        "show the latest stalls with the culprit's stack, latest first",
        "coro.stall/1",
        (_LIMIT,),
        many=True,
        by_sentinel=True,
        examples=("stalls -n 3",),
    ),
    Command(
        "check",
        "observe",
        "look",
        "judge the daemon's health: ok, warning or critical",
        "coro.health/1",
        _CHECK_PARAMETERS,
        by_sentinel=True,
        examples=("check", "check --crit-stall 1 --require smtp-in"),
    ),
    # -- act
    Command(
        "interrupt",
        "operate",
        "act",
        "raise an exception in a thread, where it waits",
        "coro.action/1",
        (
            _ID,
            Parameter("exception", "str", "a coro exception or a builtin one, by name", default="Interrupted"),
        ),
        description="While the loop is stuck by this thread's Python code, the sentinel interrupts it there.",
        by_sentinel=True,
        examples=("interrupt 17", "interrupt 17 WakeUp"),
    ),
    Command(
        "shutdown",
        "operate",
        "act",
        "raise Shutdown in threads; one that has not started is cancelled",
        "coro.action/1",
        (Parameter("ids", "thread", "the threads' ids", required=True, many=True),),
        many=True,
        examples=("shutdown 17 18",),
    ),
    Command(
        "selfish",
        "operate",
        "act",
        "set how many socket operations in a row a thread may do without yielding",
        "coro.action/1",
        (_ID, Parameter("maximum", "int", "1 to 32768", required=True)),
        examples=("selfish 17 2",),
    ),
    Command(
        "name",
        "operate",
        "act",
        "give a thread another name",
        "coro.action/1",
        (_ID, Parameter("new_name", "str", "the new name", required=True)),
        examples=("name 17 smtp-in",),
    ),
    Command(
        "set",
        "operate",
        "act",
        "change a live setting; alone, show them all",
        "coro.setting/1",
        (
            Parameter("setting", "str", "which", choices=("selfishness", "latency-warning", "stall-threshold")),
            Parameter("value", "float", "the new value"),
        ),
        many=True,
        description="Showing the settings needs the role observe only.",
        examples=("set", "set selfishness 8", "set stall-threshold 0.5"),
    ),
    Command(
        "exit-daemon",
        "operate",
        "act",
        "have the daemon exit, as coro.set_exit() does; asks first",
        "coro.action/1",
        (
            Parameter("code", "int", "the exit code", default=0),
            Parameter("yes", "flag", "do not ask", option=("--yes",)),
        ),
        examples=("exit-daemon", "exit-daemon 3 --yes"),
    ),
    # -- session
    Command(
        "sessions",
        "observe",
        "session",
        "list who is connected",
        "coro.session/1",
        many=True,
        examples=("sessions",),
    ),
    Command(
        "kick",
        "operate",
        "session",
        "end a session",
        "coro.action/1",
        (Parameter("session", "int", "the session's id, as `sessions` shows it", required=True),),
        examples=("kick 2",),
    ),
    Command(
        "history",
        "observe",
        "session",
        "show what was typed in this session",
        "coro.history/1",
        many=True,
        where="prompt",
        examples=("history",),
    ),
    Command(
        "help",
        "observe",
        "session",
        "list the commands, or explain one",
        "coro.command/1",
        (Parameter("command", "str", "which"),),
        many=True,
        where="both",
        examples=("help", "help where"),
    ),
    Command("quit", "observe", "session", "leave the session", "coro.action/1", where="prompt", examples=("quit",)),
    Command(
        "eval",
        "eval",
        "session",
        "evaluate Python in the daemon: what it prints, then the value's repr",
        "coro.evaluation/1",
        (Parameter("code", "rest", "an expression or statements", required=True),),
        where="shell",
        examples=("eval 'len(coro.all_threads)'",),
    ),
)

COMMANDS: Final[dict[str, Command]] = {command.name: command for command in _TABLE}


def command_named(name: str) -> Command:
    """The command with this name.  Raises KeyError."""
    return COMMANDS[name]


def schema_of(command: Command, parameters: Mapping[str, Any]) -> str:
    """The name of the schema of what the command answers with these parameters, of each item if that is a list."""
    if command.name == "where" and parameters.get("group") and parameters.get("target") == "all":
        return "coro.stack-group/1"
    return command.schema
