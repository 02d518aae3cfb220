"""Doing what a JSON-RPC request asks for, in the session's evaluator: Python, and commands.

Must not know how requests arrive, nor how errors are told: they are raised.
"""

from __future__ import annotations

from coro.backdoor.commands import find
from coro.backdoor.evaluation import Evaluator, Incomplete, Outcome
from coro.backdoor.executing import NotAllowed, run_code, run_command, running_line
from coro.backdoor.json_lines import Request
from coro.backdoor.line_sink import LineSink
from coro.backdoor.rpc_messages import answer, describe, notification
from coro.backdoor.session import Session
from coro.backdoor.speech import Speech
from coro.fifo import fifo
from coro.records import EvaluationRecord
from coro.scheduler import scheduler
from coro.wire.arguments import UsageError, check
from coro.wire.commands import schema_of
from coro.wire.encode import to_plain

__all__ = ["RpcEvaluation"]


class RpcEvaluation:
    """One session's Python and commands.  `session.request_id` is the request that runs."""

    def __init__(self, session: Session, speech: Speech) -> None:
        self._session = session
        self._host = session.host
        self._speech = speech
        self._sink = LineSink(self._output)
        self._made: Evaluator | None = None
        # What the client has sent for input(); None for an end of file.
        self._inputs = fifo()
        self._inputs_ended = False

    @property
    def evaluator(self) -> Evaluator:
        """The Python prompt, made when it is first needed."""
        if self._made is None:
            self._made = Evaluator(
                self._host.namespace,
                self._sink,
                read_line=self._ask,
                label=self._session.name,
                max_repr_bytes=self._host.limits.repr_bytes,
            )
        return self._made

    def answer(self, request: Request) -> None:
        """Do what a request asks for, and send the result.  Yields.

        Raises UsageError, CommandError, NotAllowed, LineInterrupted, ConnectionLost, LeaveSession, Shutdown.
        """
        if request.method == "eval":
            self._speech.send(answer(request.id, "coro.evaluation/1", to_plain(self._eval(request))))
        else:
            self._run(request)

    def give_input(self, text: str | None) -> None:
        """What the client answers to input(); None for an end of file.  Does not yield."""
        self._inputs.push(text)

    def end_input(self) -> None:
        """An input() that waits, or comes, gets none.  Does not yield."""
        self._inputs_ended = True
        self._inputs.push(None)

    def close(self) -> None:
        """Let go of what the prompt keeps.  Does not yield."""
        if self._made is not None:
            self._made.close()

    def _eval(self, request: Request) -> EvaluationRecord:
        code = request.params.get("code")
        if not isinstance(code, str):
            raise UsageError("eval needs its code as a string")
        if not self._host.eval_allowed or not self._session.may("eval"):
            reason = "is turned off in this daemon" if not self._host.eval_allowed else "needs the role eval"
            self._session.audit(code, "refused")
            raise NotAllowed(f"the Python prompt {reason}")
        evaluator = self.evaluator
        compiled = evaluator.compile_source(code, interactive=bool(request.params.get("interactive", False)))
        if isinstance(compiled, Incomplete):
            return EvaluationRecord(None, None, True, 0.0)
        if isinstance(compiled, str):
            self._session.audit(code, "syntax")
            return EvaluationRecord(None, compiled, False, 0.0)
        self._session.remember(code)
        if len(self._inputs):
            self._inputs.pop_all()
        try:
            outcome: Outcome = run_code(self._session, evaluator, compiled, code)
        finally:
            self._sink.flush()
        return EvaluationRecord(outcome.value_repr, outcome.error_text, False, outcome.seconds)

    def _ask(self, prompt: str) -> str:
        self._sink.flush()
        self._speech.send(notification("input", {"id": self._session.request_id, "prompt": prompt}))
        text = None if self._inputs_ended and not len(self._inputs) else self._inputs.pop()
        if text is None:
            raise EOFError("the session's input has ended")
        return text  # type: ignore[no-any-return]

    def _run(self, request: Request) -> None:
        implementation = find(request.method)
        parameters = check(implementation.command, request.params)
        text = describe(request)
        with running_line(self._session, text):
            rows = run_command(self._session, implementation, parameters, text)
            is_list = next(rows)
            schema = schema_of(implementation.command, parameters)
            if is_list:
                self._speech.send_list(request.id, schema, rows)
            else:
                self._speech.send(answer(request.id, schema, next(rows)))
                # To its end, where it is audited.
                next(rows, None)

    def _output(self, text: str) -> None:
        """Send what an eval printed."""
        data = notification("output", {"id": self._session.request_id, "text": text})
        if scheduler.collecting:
            self._session.connection.enqueue(data)
        else:
            self._speech.send(data)
