"""What the sentinel does is audited like everything else: commands, interrupts, refusals, wrong tokens."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from tests.backdoor.stalling import Victim, get, read_until, result, wait_until

# The token's owner; nobody's uid is known.
TOKEN = "secret" * 6
STRANGERS = f"""
fd = os.open(sys.argv[1] + ".token", os.O_CREAT | os.O_WRONLY, 0o600)
os.write(fd, b"{TOKEN}")
BACKDOOR.update(port=0, token_file=sys.argv[1] + ".token")
def forget_uids():
    roles = type(backdoor.host.roles)
    roles.role_of = lambda self, peer, has_token: "observe" if has_token else None
    roles.needs_token = lambda self, peer: True
"""


def audited(victim: Victim, *patterns: str) -> list[re.Match[str]]:
    """Wait until the audit has a line for each pattern, in this order; returns the matches."""
    whole = ".*\n(?:.*\n)*?.*?".join(f"({pattern})" for pattern in patterns)

    def lines() -> str:
        return "".join(f"{line}\n" for line in victim.daemon.log().splitlines() if line.startswith("coro.audit"))

    wait_until(lambda: re.search(whole, lines()) is not None)
    return [re.search(pattern, lines()) for pattern in patterns]  # type: ignore[misc]


def test_commands_of_a_stall_are_audited_when_it_ends(victim: Victim) -> None:
    number = victim.daemon.eval("worker.id")
    victim.hold()
    with victim.daemon.rpc() as rpc, victim.daemon.connect() as text:
        result(rpc, "ps")
        rpc.error("where", target="nonsense")
        rpc.error("info", id=99999)
        read_until(text, b"stalled> ")
        text.sendall(b":lag\n")
        read_until(text, b"stalled> ")
        text.sendall(b":where\n")
        read_until(text, b"stalled> ")
        assert "command=ps" not in victim.daemon.log()
        result(rpc, "interrupt", id=int(number or ""))
        found = audited(
            victim,
            r"INFO command .* role=eval session=\d+ command=ps outcome=ok duration_s=[\d.]+ late_s=[\d.]+",
            r'command="where target=.nonsense." outcome=usage .* late_s=',
            r'command="info id=99999" outcome=failed .* late_s=',
            r"command=:lag outcome=ok .* late_s=",
            r"command=:where outcome=usage .* late_s=",
        )
        assert found[0] is not None
        audited(victim, rf'INFO command .* command="interrupt id={number}" outcome=ok .* late_s=')


def test_what_is_left_to_the_loop_is_audited_once(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.rpc() as rpc:
        waits = rpc.send("why", target=1)
        assert rpc.receive()["method"] == "stalled"
        victim.release()
        rpc.wait(waits)
        audited(victim, r'command="why target=1"')
        assert victim.daemon.log().count('command="why target=1"') == 1


def test_probes_of_a_stall_are_at_debug_and_healthz_is_among_them(victim: Victim) -> None:
    victim.hold()
    with victim.daemon.rpc() as rpc:
        result(rpc, "check")
    get(victim.daemon.path)
    victim.release()
    audited(victim, r"DEBUG command .* command=check outcome=ok", r'DEBUG command .* command="GET /healthz"')


def test_a_refused_interrupt_of_a_stall_is_audited(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim("""
def degrade():
    backdoor.host.roles._by_uid[os.geteuid()] = "observe"
""")
    with victim.daemon.rpc() as former:
        former.eval("degrade()")
        victim.begin("spin")
        wait_until(lambda: victim.told() == 1)
        with victim.daemon.rpc() as rpc:
            rpc.error("interrupt", id=1)
        victim.stop.touch()
        audited(victim, r'INFO command .* role=observe session=\d+ command="interrupt id=1" outcome=refused')


def test_a_wrong_token_in_a_stall_is_audited(start_victim: Callable[..., Victim]) -> None:
    victim = start_victim(STRANGERS)
    with victim.daemon.rpc() as former:
        former.eval("forget_uids()")
        victim.begin("spin")
        wait_until(lambda: victim.told() == 1)
        with victim.daemon.rpc() as rpc:
            assert rpc.error("ps")["code"] == -32001
            assert "wrong" in rpc.error("hello", token="guess" * 6)["message"]
            result(rpc, "hello", token=TOKEN)
            result(rpc, "ps")
        victim.stop.touch()
        audited(
            victim,
            r"INFO command .* role=observe session=\d+ command=ps outcome=ok .* late_s=",
            r'WARNING refused .* outcome="a token is needed: say hello with it first \(session \d+\)"',
            r'WARNING refused .* outcome="the token is wrong \(session \d+\)"',
        )
        assert "guess" not in victim.daemon.log()


def test_an_interrupt_is_in_the_audit_though_the_process_is_killed_while_it_is_stuck(
    start_victim: Callable[..., Victim],
) -> None:
    victim = start_victim("""
def stubborn():
    while not os.path.exists(stop):
        try:
            spin()
        except BaseException:
            pass
""")
    number = int(victim.daemon.eval("worker.id") or "")
    victim.hold("stubborn")
    with victim.daemon.rpc() as rpc:
        result(rpc, "interrupt", id=number)
        audited(victim, rf'INFO command .* command="interrupt id={number}" outcome=ok .* late_s=')
        assert victim.daemon.process.poll() is None
        assert result(rpc, "lag")["answered_by"] == "sentinel"
    victim.daemon.process.kill()


def test_an_interrupt_that_ends_the_daemon_is_in_the_audit(victim: Victim) -> None:
    number = int(victim.daemon.eval("worker.id") or "")
    victim.hold()
    with victim.daemon.rpc() as rpc:
        rpc.send("interrupt", id=number, exception="KeyboardInterrupt")
        victim.daemon.process.wait(20)
        audited(victim, rf'command="interrupt id={number} exception=.KeyboardInterrupt." outcome=ok .* late_s=')


def test_an_interrupt_is_done_though_the_stuck_thread_holds_the_lock_of_the_log(
    start_victim: Callable[..., Victim],
) -> None:
    victim = start_victim("""
def spin_logging():
    handler = logging.getLogger().handlers[0]
    handler.acquire()
    try:
        spin()
    finally:
        handler.release()
""")
    number = int(victim.daemon.eval("worker.id") or "")
    victim.hold("spin_logging")
    with victim.daemon.rpc() as rpc:
        before = time.monotonic()
        result(rpc, "interrupt", id=number)
        assert "Interrupted" in str(rpc.eval("ended"))
        assert time.monotonic() - before < 5
        audited(victim, rf'command="interrupt id={number}" outcome=ok .* late_s=')
        assert victim.daemon.log().count(f'command="interrupt id={number}"') == 1


def test_all_looks_of_a_stall_are_audited_however_many(victim: Victim) -> None:
    victim.hold("in_sleep")
    with victim.daemon.rpc() as rpc:
        for _ in range(300):
            assert result(rpc, "lag")["answered_by"] == "sentinel"
        victim.release()
        wait_until(lambda: victim.daemon.log().count("command=lag outcome=ok") == 300)


def test_hello_of_a_stall_lists_the_commands_of_the_application(start_victim: Callable[..., Any]) -> None:
    victim = start_victim("""
@coro.backdoor.command
def reload(what: str) -> str:
    "Read a file again."
    return what
""")
    victim.hold()
    with victim.daemon.rpc() as rpc:
        by_sentinel = result(rpc, "hello")
        assert by_sentinel["answered_by"] == "sentinel"
        victim.release()
        wait_until(lambda: result(rpc, "hello")["answered_by"] == "loop")
        assert by_sentinel["value"]["commands"] == result(rpc, "hello")["value"]["commands"]
        assert "reload" in by_sentinel["value"]["commands"]
