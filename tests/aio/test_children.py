"""asyncio's subprocesses in a thread: no signals, no zombies."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

import coro
import coro.aio
from coro.aio import children

PIPE = asyncio.subprocess.PIPE


@pytest.fixture(params=["pidfd", "thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of waiting for a child."""
    if request.param == "thread":
        monkeypatch.setattr(children, "_pidfd_open", None)
    elif children._pidfd_open is None:
        pytest.skip("this system has no pidfd_open")


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code)


@pytest.mark.usefixtures("way")
def test_output_and_exit_code_of_a_child() -> None:
    async def main() -> Any:
        child = await asyncio.create_subprocess_exec("sh", "-c", "cat; exit 3", stdin=PIPE, stdout=PIPE)
        out, _ = await child.communicate(b"text")
        return out, child.returncode

    assert coro.run(coro.aio.run, main()) == (b"text", 3)


@pytest.mark.usefixtures("way")
def test_a_child_that_is_killed() -> None:
    async def main() -> int | None:
        child = await asyncio.create_subprocess_exec("sleep", "60")
        child.kill()
        return await child.wait()

    assert coro.run(coro.aio.run, main()) == -signal.SIGKILL


@pytest.mark.usefixtures("way")
def test_many_children_of_two_loops_at_once() -> None:
    async def one(number: int) -> bytes:
        child = await asyncio.create_subprocess_exec("echo", str(number), stdout=PIPE)
        return (await child.communicate())[0]

    async def main(first: int) -> list[bytes]:
        return await asyncio.gather(*[one(number) for number in range(first, first + 25)])

    def body() -> list[bytes]:
        threads = [coro.spawn(coro.aio.run, main(first)) for first in (0, 25)]
        return [line for thread in threads for line in thread.result()]

    assert coro.run(body) == [f"{number}\n".encode() for number in range(50)]


@pytest.mark.usefixtures("way")
def test_a_cancelled_task_may_wait_for_its_child_while_it_cleans_up() -> None:
    codes: list[int | None] = []

    async def main() -> None:
        child = await asyncio.create_subprocess_exec("sleep", "60")
        try:
            await asyncio.sleep(60)
        finally:
            child.terminate()
            codes.append(await child.wait())

    def body() -> None:
        coro.spawn(coro.aio.run, main())
        coro.sleep_relative(0.1)

    # The end of the loop shuts all threads down at once.
    coro.run(body)

    assert codes == [-signal.SIGTERM]


def test_a_child_that_cannot_be_started_leaves_nothing() -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec("/no/such/program", stdout=PIPE)

    coro.run(coro.aio.run, main())


def test_a_child_that_outlives_its_loop_is_reaped_by_a_thread() -> None:
    pids: list[int] = []
    kept: list[Any] = []

    async def main() -> None:
        child = await asyncio.create_subprocess_exec("sleep", "60")
        kept.append(child)
        pids.append(child.pid)

    def body() -> None:
        coro.aio.run(main())
        (thread,) = [thread for thread in coro.all_threads.values() if thread.name.startswith("asyncio child")]
        assert thread.name == f"asyncio child {pids[0]}"
        os.kill(pids[0], signal.SIGKILL)
        thread.join()
        with pytest.raises(ChildProcessError):
            os.waitpid(pids[0], os.WNOHANG)

    coro.run(body)
    assert kept[0]._transport._proc.returncode == -signal.SIGKILL
    kept[0]._transport.close()


def test_a_child_that_somebody_else_waited_for_gets_asyncios_unknown_code(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> int | None:
        child = await asyncio.create_subprocess_exec("sleep", "60")
        # In one step: the loop does not look in between.
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        return await child.wait()

    assert coro.run(coro.aio.run, main()) == 255
    assert "somebody else waited for child process" in caplog.text


def test_a_child_that_popen_itself_reaped_keeps_its_code() -> None:
    async def main() -> int | None:
        child = await asyncio.create_subprocess_exec("sleep", "60")
        process: subprocess.Popen[bytes] = child._transport._proc  # type: ignore[attr-defined]
        os.kill(child.pid, signal.SIGTERM)
        process.wait()
        return await child.wait()

    assert coro.run(coro.aio.run, main()) == -signal.SIGTERM
