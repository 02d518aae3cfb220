"""asyncio programs in threads of an emulated `threading`.  Each in a process of its own."""

from tests.core.script import output_of

BEGIN = """
import coro.emulation
coro.emulation.install_thread_emulation()
import asyncio, socket, subprocess, threading, time
import coro, coro.aio

async def report(name, function):
    try:
        print(name, function())
    except coro.YieldFromMain as error:
        print(name, "refused:", str(error).split(" in <")[0])
"""


def output(code: str) -> list[str]:
    return output_of(BEGIN + code)


def test_loops_in_emulated_threads_and_in_the_main_thread() -> None:
    assert output("""
async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()

async def main(name):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(name.encode())
        answers.append(await reader.read(100))
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.01)

answers = []
threads = [threading.Thread(target=lambda name=name: coro.aio.run(main(name))) for name in "abc"]
for thread in threads:
    thread.start()
coro.aio.run(main("main"))
for thread in threads:
    thread.join()
print(sorted(answers))
""") == ["[b'a', b'b', b'c', b'main']"]


def test_calls_in_os_threads_are_in_real_ones() -> None:
    assert output("""
from coro.emulation import original
get_ident = original("_thread", "get_ident")

async def main():
    print(await asyncio.to_thread(get_ident) != get_ident())
    print(bool(await asyncio.get_running_loop().getaddrinfo("localhost", 80)))

coro.aio.run(main())
""") == ["True", "True"]


def test_subprocesses_of_asyncio() -> None:
    assert output("""
async def main():
    child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(await child.communicate(b"text"), child.returncode)

coro.aio.run(main())
""") == ["(b'text', None) 0"]


def test_what_blocks_in_a_task_is_refused_and_names_the_task() -> None:
    assert output("""
def receive():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return ours.recv(1)

def receive_what_is_there():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        return ours.recv(1)

async def main():
    await report("sleep", lambda: time.sleep(1))
    await report("sleep 0", lambda: time.sleep(0))
    await report("recv", receive)
    await report("recv at once", receive_what_is_there)
    await report("lock", lambda: threading.Lock().acquire())

coro.aio.run(main())
""") == [
        "sleep refused: the asyncio task 'Task-1'",
        "sleep 0 None",
        "recv refused: the asyncio task 'Task-1'",
        "recv at once b'x'",
        "lock True",
    ]


def test_short_waits_that_programs_make_in_good_faith_are_made_in_a_task() -> None:
    assert output("""
import concurrent.futures

async def main():
    thread = threading.Thread(target=time.sleep, args=(0.01,))
    await report("Thread.start", thread.start)
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        print(await loop.run_in_executor(executor, lambda: "from an executor"))
    await report("subprocess.run", lambda: subprocess.run(["echo", "text"], capture_output=True).stdout)
    while thread.is_alive():
        await asyncio.sleep(0.01)

coro.aio.run(main())
""") == ["Thread.start None", "from an executor", "subprocess.run b'text\\n'"]


def test_a_lock_that_is_not_released_is_refused_after_a_second_while_other_threads_run() -> None:
    assert output("""
async def main():
    lock = threading.Lock()
    lock.acquire()
    await report("lock", lock.acquire)
    print(lock.acquire(timeout=0.01))
    lock.release()
    print(lock.acquire(False))

ticks = []
def tick():
    while True:
        time.sleep(0.01)
        ticks.append(1)

threading.Thread(target=tick, daemon=True).start()
coro.aio.run(main())
print(len(ticks) > 5)
""") == ["lock refused: the asyncio task 'Task-1'", "False", "True", "True"]
