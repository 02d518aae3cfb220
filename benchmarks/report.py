"""What a measuring process tells the harness: one line of JSON on its standard output.

The line is the only channel. A process that fails prints none and ends with a non-zero status, so a number
that the harness holds was always measured.
"""

import dataclasses
import json


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.

    total: nanoseconds of CPU time (user + system), or bytes for the memory row.
    count: operations (requests, yields, threads …) that the total was spent on.
    waited: time that the process was runnable but had no core, as a share of its CPU time; 0.0 if unknown.
    """

    total: int
    count: int
    waited: float = 0.0

    def to_line(self) -> str:
        """Return the JSON line that `from_line` reads."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_line(cls, line: str) -> "Sample":
        """Read a line made by `to_line`.

        Raises ValueError if it is none, or if total or count is not positive: such a number means nothing.
        """
        try:
            sample = cls(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"not a sample: {line!r}") from error
        if sample.total <= 0 or sample.count <= 0:
            raise ValueError(f"total and count of a sample must be positive, got {sample}")
        return sample


def announce(port: int) -> None:
    """Tell the harness the port that an echo server listens on."""
    print(port, flush=True)
