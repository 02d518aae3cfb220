"""The audit trail: one honest line each, bounded, and harmless when logging is not."""

import gc
import io
import logging
import re
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coro import stderr
from coro.backdoor.audit import MAX_COMMAND_CHARACTERS, MAX_KEPT, MAX_REFUSALS_PER_S, Audit
from coro.backdoor.peers import Peer
from coro.exceptions import Interrupted

TOKEN = "s3cret-s3cret-s3cret"
PEER = Peer("unix", 4242, 1000, 1000, (), "unix")
STRANGER = Peer("tcp", None, None, None, (), "127.0.0.1:40312")


class Lines(logging.Handler):
    """Keeps what was logged, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.Logger("coro.audit", logging.DEBUG)
    logger.addHandler(Lines())
    return logger


def lines_of(logger: logging.Logger) -> list[str]:
    handler = logger.handlers[0]
    assert isinstance(handler, Lines)
    return handler.lines


@pytest.fixture
def real_stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    text = io.StringIO()
    monkeypatch.setattr(stderr, "saved_stderr", text)
    yield text


def test_default_logger_is_coro_audit(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "coro.audit"):
        Audit().connection(3, PEER, "eval", "opened")
    assert [record.name for record in caplog.records] == ["coro.audit"]


def test_lines_hold_pid_uid_role_session_command_outcome_and_duration(logger: logging.Logger) -> None:
    audit = Audit(logger=logger)
    audit.connection(3, PEER, "eval", "opened")
    audit.command(3, PEER, "eval", "len(x)", "ok", 0.0125)
    audit.connection(3, PEER, None, "dropped: it read nothing", 2)
    audit.refused(STRANGER, "it closed at once")
    who = "pid=4242 uid=1000 peer=unix"
    assert lines_of(logger) == [
        f"INFO connection {who} role=eval session=3 outcome=opened",
        f'INFO command {who} role=eval session=3 command="len(x)" outcome=ok duration_s=0.012500',
        f'INFO connection {who} role=- session=3 outcome="dropped: it read nothing" duration_s=2.000000',
        'WARNING refused pid=- uid=- peer=127.0.0.1:40312 role=- session=- outcome="it closed at once"',
    ]


def test_probes_are_at_debug(logger: logging.Logger) -> None:
    audit = Audit(logger=logger)
    audit.command(3, PEER, "observe", "check", "ok", 0.001, probe=True)
    audit.connection(3, PEER, "observe", "closed", 0.002, probe=True)
    assert [line.split()[0] for line in lines_of(logger)] == ["DEBUG", "DEBUG"]


@pytest.mark.parametrize(
    "text", ["a\nINFO connection uid=0", "\x1b[2J", "\r", "\x00", "\u202e", "\x9b1m", "\u2028"]
)
def test_command_cannot_break_its_line(logger: logging.Logger, text: str) -> None:
    Audit(logger=logger).command(3, PEER, "eval", text, "ok")
    (line,) = lines_of(logger)
    assert line.isprintable()
    assert line.endswith('" outcome=ok')


@given(st.text(max_size=700), st.text(max_size=50))
@example('"', '"')
@example('" outcome=ok role="eval', "\\")
@example("\\", '\\"')
def test_any_text_stays_in_its_quotes(text: str, outcome: str) -> None:
    logger = logging.Logger("coro.audit", logging.DEBUG)
    logger.addHandler(Lines())
    Audit(logger=logger, token=TOKEN).command(3, PEER, "eval", text, outcome, 0.5)

    (line,) = lines_of(logger)

    assert line.isprintable()
    value = r'(?:"(?:[^"\\]|\\.)*"|[A-Za-z0-9._:/\[\]-]+)(?:…\+\d+)?'
    pattern = rf"INFO command pid=4242 .* session=3 command={value} outcome={value} duration_s=0\.500000"
    assert re.fullmatch(pattern, line) is not None


def test_long_command_is_cut_and_the_rest_counted(logger: logging.Logger) -> None:
    Audit(logger=logger).command(3, PEER, "eval", "x" * (MAX_COMMAND_CHARACTERS + 70), "ok")
    (line,) = lines_of(logger)
    assert f"command={'x' * MAX_COMMAND_CHARACTERS}…+70 outcome=ok" in line


@pytest.mark.parametrize("text", [TOKEN, f"hello {TOKEN}!", "x" * 490 + TOKEN, TOKEN + TOKEN])
def test_token_never_appears_not_even_in_part(logger: logging.Logger, text: str) -> None:
    audit = Audit(logger=logger, token=TOKEN)
    audit.command(3, PEER, "eval", text, text)
    audit.refused(PEER, text)
    for line in lines_of(logger):
        assert "[tok" in line
        assert "s3c" not in line


# -- refusals


def test_refusals_are_bounded_and_the_rest_counted(logger: logging.Logger) -> None:
    clock = Clock()
    audit = Audit(logger=logger, clock=clock)
    for number in range(10_000):
        audit.refused(STRANGER if number % 2 else PEER, "no role")
    assert len(lines_of(logger)) == MAX_REFUSALS_PER_S

    clock.now += 1
    audit.refused(STRANGER, "no role")

    assert lines_of(logger)[MAX_REFUSALS_PER_S:] == [
        "WARNING refused … and 9990 more, from unix:uid=1000:4995 tcp:uid=-:4995",
        'WARNING refused pid=- uid=- peer=127.0.0.1:40312 role=- session=- outcome="no role"',
    ]


def test_ten_seconds_of_flood_are_ten_times_as_many_lines(logger: logging.Logger) -> None:
    clock = Clock()
    audit = Audit(logger=logger, clock=clock)
    for _ in range(10_000):
        audit.refused(STRANGER, "no role")
        clock.now += 0.001
    audit.flush(now=True)
    assert len(lines_of(logger)) <= 11 * (MAX_REFUSALS_PER_S + 1)
    counted = sum(int(line.split(" and ")[1].split()[0]) for line in lines_of(logger) if " and " in line)
    told = sum(1 for line in lines_of(logger) if "pid=" in line)
    assert told + counted == 10_000


@pytest.mark.parametrize("how", ["flush", "connection", "flush now"])
def test_count_of_the_rest_does_not_wait_for_the_next_refusal(logger: logging.Logger, how: str) -> None:
    clock = Clock()
    audit = Audit(logger=logger, clock=clock)
    for _ in range(MAX_REFUSALS_PER_S + 5):
        audit.refused(STRANGER, "no role")
    audit.flush()
    assert len(lines_of(logger)) == MAX_REFUSALS_PER_S
    if how == "flush now":
        audit.flush(now=True)
    else:
        clock.now += 1.5
        audit.flush() if how == "flush" else audit.connection(1, PEER, "eval", "opened")
    assert "… and 5 more" in lines_of(logger)[MAX_REFUSALS_PER_S]
    audit.flush(now=True)
    assert sum("more" in line for line in lines_of(logger)) == 1


def test_commands_are_never_left_out(logger: logging.Logger) -> None:
    audit = Audit(logger=logger, clock=Clock())
    for _ in range(1000):
        audit.command(3, PEER, "eval", "x", "ok")
    assert len(lines_of(logger)) == 1000


def test_flood_of_many_uids_keeps_the_count_small(logger: logging.Logger) -> None:
    clock = Clock()
    audit = Audit(logger=logger, clock=clock)
    for uid in range(1000):
        audit.refused(Peer("unix", 1, uid, 1, (), "unix"), "no role")
    audit.flush(now=True)
    last = lines_of(logger)[-1]
    assert last.endswith("others:982")
    assert len(last) < 300


# -- logging that fails


class Broken(logging.Handler):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.calls = 0

    def handle(self, record: logging.LogRecord) -> bool:
        self.calls += 1
        raise self.error


def test_failing_handler_hurts_nobody_and_is_told_once(logger: logging.Logger, real_stderr: io.StringIO) -> None:
    broken = Broken(OSError(28, "No space left on device"))
    logger.addHandler(broken)
    audit = Audit(logger=logger)
    for _ in range(5):
        audit.command(3, PEER, "eval", "x", "ok")
        audit.refused(PEER, "no role")
    assert broken.calls == 10
    assert real_stderr.getvalue().count("No space left on device") == 1
    assert "coro: the audit log failed" in real_stderr.getvalue()


def test_interrupt_in_a_handler_is_not_swallowed(logger: logging.Logger) -> None:
    logger.addHandler(Broken(Interrupted()))
    with pytest.raises(Interrupted):
        Audit(logger=logger).command(3, PEER, "eval", "x", "ok")


def test_line_with_percent_signs_is_not_formatted(logger: logging.Logger) -> None:
    Audit(logger=logger).command(3, PEER, "eval", "'%s %d' % x", "ok")
    assert "'%s %d' % x" in lines_of(logger)[0]


def test_level_that_is_off_costs_no_escaping(logger: logging.Logger) -> None:
    logger.setLevel(logging.WARNING)
    audit: Any = Audit(logger=logger)
    line = "\x1b" * 65_536
    tracemalloc.start()
    try:
        audit.command(3, PEER, "eval", line, "ok")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(line)
    assert lines_of(logger) == []


# -- what is kept while the loop is stuck


def test_kept_commands_are_written_in_order_with_how_late_they_are(logger: logging.Logger) -> None:
    clock = Clock()
    audit = Audit(logger=logger, clock=clock)
    audit.keep_command(3, PEER, "eval", "interrupt id=17", "ok", 0.5)
    clock.now += 2
    audit.keep_command(3, PEER, "eval", "check", "ok", 0.001, probe=True)
    assert lines_of(logger) == []
    assert audit.has_kept

    assert not audit.write_kept()

    who = "pid=4242 uid=1000 peer=unix role=eval session=3"
    assert lines_of(logger) == [
        f'INFO command {who} command="interrupt id=17" outcome=ok duration_s=0.500000 late_s=2.000000',
        f"DEBUG command {who} command=check outcome=ok duration_s=0.001000 late_s=0.000000",
    ]
    assert not audit.has_kept


def test_kept_lines_are_written_a_few_at_a_time_and_all_at_the_end(logger: logging.Logger) -> None:
    audit = Audit(logger=logger)
    for number in range(100):
        audit.keep_command(3, PEER, "eval", str(number), "ok", 0.0)
    assert audit.write_kept()
    assert 0 < len(lines_of(logger)) < 100
    audit.flush(now=True)
    assert [re.search(r"command=(\d+)", line)[1] for line in lines_of(logger)] == [  # type: ignore[index]
        str(number) for number in range(100)
    ]


def test_kept_refusals_are_bounded_as_others(logger: logging.Logger) -> None:
    audit = Audit(logger=logger, clock=Clock())
    for _ in range(50):
        audit.keep_refusal(PEER, "the token is wrong")
    audit.flush(now=True)
    assert sum("the token is wrong" in line for line in lines_of(logger)) == MAX_REFUSALS_PER_S
    assert "… and 40 more" in lines_of(logger)[-1]


def test_what_is_kept_is_bounded_and_the_rest_counted(logger: logging.Logger) -> None:
    audit = Audit(logger=logger, clock=Clock())
    for _ in range(MAX_KEPT + 7):
        audit.keep_command(3, PEER, "eval", "x", "ok", 0.0)
    audit.flush(now=True)
    assert len(lines_of(logger)) == MAX_KEPT + 1
    assert f"lost … 7 lines: more than {MAX_KEPT}" in lines_of(logger)[-1]
    assert not audit.has_kept


def test_token_is_left_out_of_what_is_kept(logger: logging.Logger) -> None:
    audit = Audit(logger=logger, token=TOKEN)
    audit.keep_command(3, PEER, "eval", f"ps {TOKEN}", "usage", 0.0)
    audit.flush(now=True)
    assert "s3c" not in lines_of(logger)[0] and "[token]" in lines_of(logger)[0]


def test_keeping_takes_no_lock_of_logging(logger: logging.Logger) -> None:
    audit = Audit(logger=logger)
    handler = logger.handlers[0]
    done = threading.Event()

    def keep() -> None:
        audit.keep_command(3, PEER, "eval", "x", "ok", 0.0)
        audit.keep_refusal(PEER, "no role")
        done.set()

    keeper = threading.Thread(target=keep)
    # A dead handler's finaliser takes the lock in whichever OS thread the collector happens to run.
    gc.disable()
    handler.acquire()
    try:
        with logging._lock:  # type: ignore[attr-defined]
            keeper.start()
            assert done.wait(10)
    finally:
        handler.release()
        gc.enable()
        keeper.join()


def test_another_os_thread_and_the_loop_write_each_kept_line_once(logger: logging.Logger) -> None:
    audit = Audit(logger=logger)
    for number in range(300):
        audit.keep_command(3, PEER, "eval", f"n{number}", "ok", 0.0)
    other = threading.Thread(target=audit.write_kept_elsewhere)
    other.start()
    audit.flush(now=True)
    other.join()
    found = sorted(int(re.search(r"command=n(\d+)", line)[1]) for line in lines_of(logger))  # type: ignore[index]
    assert found == list(range(300))


def test_what_a_handler_refuses_in_another_os_thread_is_written_by_the_loop(
    logger: logging.Logger, real_stderr: io.StringIO
) -> None:
    def needs_the_loop(record: logging.LogRecord) -> bool:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("not here")
        return True

    logger.addFilter(needs_the_loop)
    audit = Audit(logger=logger)
    audit.keep_command(3, PEER, "eval", "interrupt id=17", "ok", 0.0)
    other = threading.Thread(target=audit.write_kept_elsewhere)
    other.start()
    other.join()
    assert lines_of(logger) == [] and audit.has_kept
    audit.write_kept()
    assert len(lines_of(logger)) == 1
    assert real_stderr.getvalue() == ""


def test_a_forked_child_forgets_what_was_kept(logger: logging.Logger) -> None:
    audit = Audit(logger=logger)
    audit.keep_command(3, PEER, "eval", "x", "ok", 0.0)
    audit.keep_refusal(PEER, "no role")
    audit.forget_kept()
    audit.flush(now=True)
    assert lines_of(logger) == []
