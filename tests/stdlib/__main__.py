"""The standard library's own tests under coro: `python -m tests.stdlib [MODULE …]`, which `make stdlib` runs.

Every column (plain Python, coro, gevent) runs all modules in one process.  At the end come a table and what is not
as it must be; the exit code is 1 if there is anything of that kind, 2 if the tests cannot be run here.
"""

import argparse
import platform
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.page import PageError, filled
from tests.stdlib import lists, results, tables, verdict
from tests.stdlib.columns import COLUMNS
from tests.stdlib.modules import MODULES, NoTestPackageError, require_test_package
from tests.stdlib.outcomes import FAILING, Outcome
from tests.stdlib.watching import Run, Watcher

# Nothing that passes under plain Python takes half as long.
LIMIT_S = 75.0


def main() -> int:
    """Run the command; return its exit status."""
    options = parse()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has what it runs in the background ignore Ctrl-C, and the tests of signals inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        require_test_package()
        reasons, exclusions = lists.read(lists.REASONS), lists.read(lists.EXCLUSIONS)
        found = results.read(results.RESULTS) if options.again else run(options, exclusions)
        print(tables.by_module(found), end="\n\n")
        if options.write:
            write(found, options.write, reasons, exclusions)
    except (NoTestPackageError, lists.ListError, results.ResultsError, PageError) as error:
        print(f"python -m tests.stdlib: {error}", file=sys.stderr)
        return 2
    if {"plain", "ours"} <= found.columns.keys() and not options.modules:
        for entry in verdict.stale(found, reasons):
            print(f"reasons.toml explains {', '.join(entry.tests)}, which did not fail")
    wrong = verdict.faults(found, reasons)
    for fault in wrong:
        print(fault)
    return 1 if wrong else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stdlib", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as test_socket; all by default")
    parser.add_argument("--column", action="append", choices=COLUMNS, help="only this one; may be given again")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds that a test may take (%(default)s)")
    parser.add_argument("--apart", action="store_true", help="each module in a process of its own")
    parser.add_argument("--once", action="store_true", help="do not run again what failed")
    parser.add_argument("--details", type=Path, metavar="FILE", help="write the tracebacks of what failed there")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="keep the results and fill in this page; columns not run stay"
    )
    parser.add_argument("--again", action="store_true", help="run nothing: take the results that were kept")
    options = parser.parse_args()
    unknown = set(options.modules) - set(MODULES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    if options.limit <= 0:
        parser.error(f"--limit must be more than 0 s, got {options.limit}")
    if options.write and options.modules:
        parser.error("--write wants all modules")
    if options.again and (options.modules or options.column):
        parser.error("--again takes the results as they are: all modules, all columns")
    return options


def run(options: argparse.Namespace, exclusions: Iterable[lists.Entry]) -> results.Results:
    """Run the columns, one after the other."""
    modules = options.modules or list(MODULES)
    patterns = [pattern for entry in exclusions for pattern in entry.tests]
    found = results.Results(platform.python_version(), _system(), modules)
    if options.write and options.column:
        found.columns = results.read(results.RESULTS).columns
    details: list[str] = []
    usual: dict[str, float] = {}
    for name in options.column or COLUMNS:
        with tempfile.TemporaryDirectory(prefix="stdlib-", ignore_cleanup_errors=True) as folder:
            watcher = Watcher(COLUMNS[name], Path(folder), patterns, limit_s=options.limit, usual=usual)
            whole = Run()
            for group in [[module] for module in modules] if options.apart else [modules]:
                whole.add(watcher.run(group))
            if not options.once:
                watcher.rerun(whole)
        if name == "plain":
            usual = {test: outcome.seconds for test, outcome in whole.outcomes.items()}
        found.columns[name] = results.kept(whole, COLUMNS[name].version())
        details += [
            _told(name, test, outcome) for test, outcome in (*whole.outcomes.items(), *whole.fixtures.items())
        ]
        print(f"{name}: {whole.seconds:.0f} s, {whole.restarts} restarts", file=sys.stderr, flush=True)
    if options.details:
        options.details.write_text("".join(details), encoding="utf-8")
    return found


def _system() -> str:
    """The system with its version, without what its builder added."""
    return f"{platform.system()} {platform.release().partition('-')[0]}"


def _told(name: str, test: str, outcome: Outcome) -> str:
    if outcome.outcome not in (*FAILING, "flaky"):
        return ""
    return f"=== {name} {test}: {outcome.outcome}\n{outcome.detail}\n\n"


def write(found: results.Results, page: Path, reasons: list[lists.Entry], exclusions: list[lists.Entry]) -> None:
    """Keep the results and fill in the page.  Raises PageError if the page has other marks."""
    text = filled(page.read_text(encoding="utf-8"), tables.parts(found, reasons, exclusions))
    results.write(found, results.RESULTS)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
