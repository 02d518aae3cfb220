"""Each service against its model, with hypothesis choosing what happens and in which order."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.errors import HypothesisException
from hypothesis.stateful import run_state_machine_as_test

import coro
from tests.explorer.machine import SETTINGS
from tests.explorer.machine_services import service_machine_for
from tests.explorer.models_calls import CallsInOSThreads, Parallel
from tests.explorer.models_frames import Shields, Timeouts
from tests.explorer.models_groups import Groups
from tests.explorer.models_joining import Joining
from tests.explorer.models_pools import Maps, Pools
from tests.explorer.models_servers import Servers
from tests.explorer.models_sockets import Sockets
from tests.explorer.mutant import planted
from tests.explorer.mutants_services import MUTANTS

MODELS = {
    "joining": Joining,
    "groups": Groups,
    "pools": Pools,
    "maps": Maps,
    "in_parallel": Parallel,
    "timeouts": Timeouts,
    "shields": Shields,
    "in_os_thread": CallsInOSThreads,
    "sockets": Sockets,
    "servers": Servers,
}
MACHINES = {name: service_machine_for(name, model) for name, model in MODELS.items()}

TestJoining = MACHINES["joining"].TestCase
TestGroups = MACHINES["groups"].TestCase
TestPools = MACHINES["pools"].TestCase
TestMaps = MACHINES["maps"].TestCase
TestParallel = MACHINES["in_parallel"].TestCase
TestTimeouts = MACHINES["timeouts"].TestCase
TestShields = MACHINES["shields"].TestCase
TestOSThreads = MACHINES["in_os_thread"].TestCase
TestSockets = MACHINES["sockets"].TestCase
TestServers = MACHINES["servers"].TestCase

# Machine, area, fault: those that are found within the first few examples, so that more of them are never missed.
PLANTED = [
    ("joining", "joining", "stays registered"),
    ("joining", "joining", "the end wakes nobody"),
    ("groups", "groups", "waits once"),
    ("groups", "groups", "a failure stops nobody"),
    ("groups", "groups", "the body goes on"),
    ("groups", "groups", "interrupts overtake"),
    ("pools", "pools", "who left still waits"),
    ("pools", "pools", "a place is given twice"),
    ("pools", "pools", "takes jobs when closed"),
    ("maps", "pools", "no place comes back"),
    ("in_parallel", "in_parallel", "failures are told twice"),
    ("in_parallel", "in_parallel", "does not wait"),
    ("in_parallel", "in_parallel", "a failure is a success"),
    ("timeouts", "timeouts", "the interrupt stays"),
    ("timeouts", "timeouts", "is not interrupted"),
    ("timeouts", "timeouts", "a block is not interrupted"),
    ("timeouts", "timeouts", "a block is too early"),
    ("shields", "shields", "interrupts come in"),
    ("shields", "shields", "holds back an inner timeout"),
    ("shields", "shields", "is forgotten"),
    ("in_os_thread", "in_os_thread", "is not taken back"),
    ("in_os_thread", "in_os_thread", "nobody is scheduled"),
    ("in_os_thread", "in_os_thread", "the value is lost"),
    ("sockets", "sockets", "who stopped waiting still reads"),
    ("sockets", "sockets", "readiness is missed"),
    ("sockets", "sockets", "writers are not woken"),
    ("sockets", "sockets", "a piece replaces the buffer"),
    ("servers", "servers", "a connection stays open"),
    ("servers", "servers", "a place is lost"),
    ("servers", "servers", "the cap is not kept"),
]

# Found is enough: nobody needs the shortest way there.
HUNT = settings(SETTINGS, max_examples=400, phases=(Phase.generate,), report_multiple_bugs=False)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(("machine", "area", "fault"), PLANTED, ids=lambda word: word)
def test_planted_fault_is_found(machine: str, area: str, fault: str) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == f"{area}: {fault}")
    with planted(mutant), pytest.raises((Exception, coro.Interrupted)) as caught:
        run_state_machine_as_test(MACHINES[machine], settings=HUNT)
    # A machine that takes another course the second time has found nothing.
    assert not isinstance(caught.value, HypothesisException)


def test_each_machine_has_a_fault_planted() -> None:
    assert {machine for machine, _, _ in PLANTED} == set(MACHINES)
