"""paramiko: a connection per thread, and paramiko's own thread for each; commands with input, output and status."""

from __future__ import annotations

import threading

import paramiko
from measured import Options, in_threads, paced, run

# The key exchange costs a server some milliseconds of CPU: sshd itself begins to refuse at ten at a time.
starting = threading.BoundedSemaphore(5)


def main(options: Options) -> int:
    """Each thread logs in with a key, runs commands, and logs out."""
    key = paramiko.Ed25519Key.from_private_key_file(options.peer["key"])

    def work(number: int) -> int:
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            with starting:
                client.connect(
                    options.peer["host"],
                    options.peer["port"],
                    options.peer["user"],
                    pkey=key,
                    allow_agent=False,
                    look_for_keys=False,
                    timeout=60,
                    banner_timeout=60,
                    auth_timeout=60,
                )
            for request in paced(options, number):
                stdin, stdout, _ = client.exec_command(f"cat; exit {request % 3}", timeout=60)
                stdin.write(f"{number}.{request}\n" * 10)
                stdin.channel.shutdown_write()
                assert stdout.read().decode() == f"{number}.{request}\n" * 10
                assert stdout.channel.recv_exit_status() == request % 3
        return options.requests

    return in_threads(options, work)


if __name__ == "__main__":
    run(f"paramiko {paramiko.__version__}", main)
