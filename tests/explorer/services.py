"""All scenarios of the services that take random schedules, for the soak."""

from collections.abc import Callable
from typing import Any

from tests.explorer.services_frames import calls_in_frames, groups_in_frames, shields, timeouts
from tests.explorer.services_groups import group_ended_by_its_body, groups, knocked_owner
from tests.explorer.services_joining import join_and_timeout_at_once, joining
from tests.explorer.services_os_threads import calls_in_os_threads
from tests.explorer.services_parallel import parallel, parallel_knocked
from tests.explorer.services_pools import maps, pools
from tests.explorer.services_servers import servers
from tests.explorer.services_sockets import echo, lines, streams, waits_by_number

__all__ = ["SCENARIOS"]

WITHOUT: dict[str, Any] = {"descriptors": False}

# (name, scenario, options of explore())
SCENARIOS: list[tuple[str, Callable[[], object], dict[str, Any]]] = [
    ("joining", joining, WITHOUT),
    ("joining, disturbed", join_and_timeout_at_once, WITHOUT),
    ("groups", groups, {**WITHOUT, "interrupts": 3}),
    ("a group's body", group_ended_by_its_body, {**WITHOUT, "interrupts": 2}),
    ("a group's owner", knocked_owner, WITHOUT),
    ("pools", pools, {**WITHOUT, "interrupts": 1}),
    ("maps", maps, {**WITHOUT, "interrupts": 2}),
    ("in_parallel", parallel, {**WITHOUT, "interrupts": 3}),
    ("in_parallel's caller", parallel_knocked, WITHOUT),
    ("timeouts", timeouts, {**WITHOUT, "interrupts": 2}),
    ("shields", shields, {**WITHOUT, "interrupts": 3}),
    ("groups in shields and timeouts", groups_in_frames, WITHOUT),
    ("calls in shields and timeouts", calls_in_frames, WITHOUT),
    ("OS threads", calls_in_os_threads, {**WITHOUT, "interrupts": 2}),
    ("streams", streams, {"interrupts": 2}),
    ("echo", echo, {}),
    ("lines", lines, {"interrupts": 3}),
    ("waits by number", waits_by_number, {"interrupts": 2}),
    ("servers", servers, {}),
]
