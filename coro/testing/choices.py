"""Who decides what happens next, where the runtime promises no order.

A schedule is the list of the choices that were made: each a number below the number of options, and 0 is what the
runtime would have done by itself.  Choices come from a seed, from a list, or from a walk through all lists.

Knows nothing of threads.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Protocol

__all__ = ["Choices", "GivenChoices", "SeededChoices", "as_text", "from_text", "walk"]

# How often a seeded schedule leaves things as they are: some schedules nearly always, so that a fault that needs
# one odd turn among many usual ones is found as well as one that needs disorder.
_CALMNESS = (0.0, 0.0, 0.5, 0.8, 0.95)


class Choices(Protocol):
    """The decisions of one schedule.

    taken, widths: what was chosen so far, and among how many options; a point with one option is not among them.
    """

    taken: list[int]
    widths: list[int]

    def choose(self, options: int) -> int:
        """Choose one of so many options, 2 or more: a number from 0."""


class SeededChoices:
    """Random choices that the seed determines."""

    def __init__(self, seed: int) -> None:
        self.taken: list[int] = []
        self.widths: list[int] = []
        self._random = random.Random(seed).random
        self._calmness = _CALMNESS[int(self._random() * len(_CALMNESS))]

    def choose(self, options: int) -> int:
        draw = self._random()
        choice = 0 if draw < self._calmness else int(self._random() * options)
        self.taken.append(choice)
        self.widths.append(options)
        return choice


class GivenChoices:
    """The choices of a list, then always 0.  One that is out of range counts as the last option."""

    def __init__(self, given: list[int]) -> None:
        self.taken: list[int] = []
        self.widths: list[int] = []
        self._given = given

    def choose(self, options: int) -> int:
        place = len(self.taken)
        choice = min(self._given[place], options - 1) if place < len(self._given) else 0
        self.taken.append(choice)
        self.widths.append(options)
        return choice


def walk(deviations: int | None) -> Iterator[GivenChoices]:
    """All schedules, each once; the caller runs each before it asks for the next.

    deviations: how many choices other than 0 a schedule may have; None for any number.
    Depth first, and the last choice is changed first.  What was chosen before must lead to the same options again:
    a scenario whose course depends on anything else is not walked through whole.
    """
    given: list[int] | None = []
    while given is not None:
        choices = GivenChoices(given)
        yield choices
        given = _following(choices.taken, choices.widths, deviations)


def _following(taken: list[int], widths: list[int], deviations: int | None) -> list[int] | None:
    """The list that comes after this one; None behind the last."""
    used = sum(1 for choice in taken if choice)
    for place in range(len(taken) - 1, -1, -1):
        choice = taken[place]
        if choice:
            used -= 1
        if choice + 1 < widths[place] and (deviations is None or used < deviations):
            return [*taken[:place], choice + 1]
    return None


def as_text(taken: list[int]) -> str:
    """A schedule in writing: the choices with dots between, `z5` for five zeros, those at the end left out."""
    words: list[str] = []
    zeros = 0
    for choice in taken:
        if choice == 0:
            zeros += 1
            continue
        if zeros:
            words.append(f"z{zeros}")
            zeros = 0
        words.append(str(choice))
    return ".".join(words) or "z0"


def from_text(text: str) -> list[int]:
    """What as_text() wrote.  Raises ValueError for anything else."""
    taken: list[int] = []
    for word in text.split("."):
        digits = word.removeprefix("z")
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"a schedule is numbers and zNs with dots between, such as 'z5.2.1', got {text!r}")
        if word == digits:
            taken.append(int(word))
        else:
            taken.extend([0] * int(digits))
    return taken
