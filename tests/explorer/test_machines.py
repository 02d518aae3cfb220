"""Each primitive against its model, with hypothesis choosing what happens and in which order."""

from tests.explorer.machine import machine_for
from tests.explorer.models import MODELS

TestMutex = machine_for("mutex", MODELS["mutex"]).TestCase
TestRwLock = machine_for("rw_lock", MODELS["rw_lock"]).TestCase
TestSemaphore = machine_for("semaphore", MODELS["semaphore"]).TestCase
TestInvertedSemaphore = machine_for("inverted_semaphore", MODELS["inverted_semaphore"]).TestCase
TestConditionVariable = machine_for("condition_variable", MODELS["condition_variable"]).TestCase
TestEvent = machine_for("event", MODELS["event"]).TestCase
TestFifo = machine_for("fifo", MODELS["fifo"]).TestCase
TestFifoWithMaxsize = machine_for("fifo with maxsize", MODELS["fifo with maxsize"]).TestCase
TestJoin = machine_for("join", MODELS["join"]).TestCase


def test_every_model_has_its_machine() -> None:
    assert len(MODELS) == 9
