"""The runtime's own tests of descriptors, sockets and processes pass over the kqueue poller, on the simulation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# They take less than 20 s; a busy machine may take its time.
LIMIT_S = 200

SOCKETS = ("tests/io",)
OTHERS = (
    "tests/core/test_descriptors.py",
    "tests/core/test_fork.py",
    "tests/core/test_handlers.py",
    "tests/core/test_signals.py",
    "tests/core/test_wakeup.py",
    "tests/services/test_process.py",
)
# What holds on Linux only, and why.
LINUX_ONLY = {
    "test_connect_of_a_socket_that_was_registered_before": "there an unconnected socket counts as hung up",
    # Here every read ends with a refusal, for there may be urgent data.
    "test_turn_of_a_tcp_echo_costs_one_recv_and_one_send": "there the kernel tells of urgent data",
    "test_timed_socket_saves_the_refusals_too": "there the kernel tells of urgent data",
}


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 10)
@pytest.mark.parametrize(
    ("poller", "what"),
    [
        pytest.param("kqueue as FreeBSD's", SOCKETS, id="sockets-FreeBSD"),
        pytest.param("kqueue as OpenBSD's", SOCKETS, id="sockets-OpenBSD"),
        pytest.param("kqueue as FreeBSD's", OTHERS, id="others-FreeBSD"),
        pytest.param("kqueue as OpenBSD's", OTHERS, id="others-OpenBSD"),
        # The dialect with the Python whose queue object does not notice a fork.
        pytest.param("kqueue as macOS's", OTHERS, id="others-macOS"),
    ],
)
def test_runtime_passes_its_tests(poller: str, what: tuple[str, ...]) -> None:
    unwanted = " or ".join(LINUX_ONLY)
    plugin = ("-p", "tests.poller.other_poller")
    command = (sys.executable, "-m", "pytest", "-q", *plugin, "-k", f"not ({unwanted})", *what)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "CORO_TEST_POLLER": poller},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    made = re.search(r"(\d+) pollers made: (.*)", done.stdout)
    assert made is not None
    assert made[2] == poller
    assert int(made[1]) > 10
