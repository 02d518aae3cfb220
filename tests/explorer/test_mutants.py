"""The explorer finds faults that are planted on purpose: at least one in each primitive."""

import pytest

from coro.testing import ScheduleFailed, explore
from tests.explorer.model import program
from tests.explorer.models import MODELS
from tests.explorer.mutant import Mutant, planted
from tests.explorer.mutants_services import MUTANTS as OF_SERVICES
from tests.explorer.mutants_sync import MUTANTS as OF_PRIMITIVES


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("mutant", [*OF_PRIMITIVES, *OF_SERVICES], ids=str)
def test_planted_fault_is_found(mutant: Mutant) -> None:
    with planted(mutant), pytest.raises(ScheduleFailed) as caught:
        explore(mutant.scenario, **mutant.options)
    # Without the fault the same schedule passes: it is the fault that was found.
    options = {key: value for key, value in mutant.options.items() if key != "schedules"}
    explore(mutant.scenario, replay=caught.value.schedule, **options)


def test_each_primitive_has_a_fault_planted() -> None:
    assert {mutant.name.split(":")[0] for mutant in OF_PRIMITIVES} == set(MODELS)


def test_mutant_whose_text_has_gone_is_an_error() -> None:
    mutant = Mutant("stale", OF_PRIMITIVES[0].owner, "_wait", "no such text", "", program(MODELS["mutex"]))
    with pytest.raises(LookupError, match="stands 0 times"), planted(mutant):
        raise AssertionError("it was planted")
