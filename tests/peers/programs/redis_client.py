"""redis-py: strings, pipelines, lists that are waited for, a channel; one pool of connections for all threads."""

from __future__ import annotations

import threading

import redis
from measured import Options, in_threads, paced, run


def main(options: Options) -> int:
    """Each thread keeps keys of its own, hands a job to its neighbour's list and takes one from its own."""
    pool = redis.BlockingConnectionPool(max_connections=options.threads + 2, **options.peer)
    client = redis.Redis(connection_pool=pool)
    client.flushall()
    heard: list[bytes] = []
    subscribed = threading.Event()
    listener = threading.Thread(target=listen, args=(client, subscribed, heard))
    listener.start()
    assert subscribed.wait(30)

    def work(number: int) -> int:
        for request in paced(options, number):
            key = f"key:{number}"
            client.set(key, f"{number}.{request}" * 20)
            assert client.get(key) == f"{number}.{request}".encode() * 20
            with client.pipeline() as pipeline:
                pipeline.incr(f"count:{number}").lpush(f"jobs:{(number + 1) % options.threads}", request)
                assert pipeline.execute()[0] == request + 1
            assert client.brpop([f"jobs:{number}"], timeout=30) is not None
            client.publish("news", key)
        return options.requests

    answers = in_threads(options, work)
    client.publish("news", "end")
    listener.join()
    assert len(heard) == answers, (len(heard), answers)
    pool.disconnect()
    return answers


def listen(client: redis.Redis, subscribed: threading.Event, heard: list[bytes]) -> None:
    """Collect what is published until the end is."""
    with client.pubsub() as channel:
        channel.subscribe("news")
        for message in channel.listen():
            if message["type"] == "subscribe":
                subscribed.set()
            elif message["data"] == b"end":
                return
            else:
                heard.append(message["data"])


if __name__ == "__main__":
    run(f"redis-py {redis.__version__}", main)
