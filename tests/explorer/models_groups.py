"""What may be observed of groups: nests of blocks whose members and bodies do what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field

import coro
from coro.testing import choose
from tests.explorer.actors import Actor, ServiceModel
from tests.explorer.model import Operation
from tests.explorer.services_groups import GroupScene

__all__ = ["Groups"]

_MAX_DEPTH = 3
_MAX_MEMBERS = 4


@dataclass(eq=False)
class _Block:
    """A group that is in use.

    actors: those of its members.  excepted: those of them that have shut the group down, and so go on.
    has_body: whether its body runs.
    """

    group: coro.Group
    members: list[coro.coro]
    owner: Actor
    actors: list[Actor] = field(default_factory=list)
    excepted: list[Actor] = field(default_factory=list)
    has_body: bool = True
    was_shut_down: bool = False

    @property
    def has_failed(self) -> bool:
        return any(
            member.error is not None and not isinstance(member.error, coro.Shutdown) for member in self.members
        )

    @property
    def must_end(self) -> bool:
        """Whether its members are to be shut down."""
        return self.was_shut_down or self.has_failed

    def goes_on(self) -> list[Actor]:
        """The members that wait for orders though they ought to have ended."""
        return [actor for actor in self.actors if actor.is_waiting and actor not in self.excepted]


class Groups(ServiceModel):
    """A group's threads end before its block does; the first failure ends them all, and leaves the block.

    A member gets one Shutdown from its group; whoever shuts a group down goes on.  An interrupt of the owner shuts
    the members down and leaves as it is, once.  Each failure is handed on, or told to the notifier.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scene = GroupScene()
        self.blocks: list[_Block] = []

    def operations(self) -> list[Operation]:
        me = self.me()
        if not me.frames:
            return [self.open, self.open, self.pause]
        deeper: list[Operation] = [self.open] if len(me.frames) < _MAX_DEPTH else []
        ends: list[Operation] = [me.leave, me.fail, self.shut_group_down]
        return [self.add, self.add, *deeper, self.add, *ends, self.pause, self.let_others]

    def open(self) -> None:
        me = self.me()
        is_inner = any(block.owner is me for block in me.frames)
        frames = list(me.frames)
        blocks: list[_Block] = []

        def body(group: coro.Group, members: list[coro.coro]) -> None:
            blocks.append(_Block(group, members, me))
            self.blocks += blocks
            me.frames.append(blocks[0])
            try:
                me.obey()
            finally:
                blocks[0].has_body = False

        try:
            self.scene.run(body, is_inner=is_inner)
        except BaseExceptionGroup:
            # Handed on, and checked.
            assert blocks
        finally:
            me.frames = frames
            for block in blocks:
                self.blocks.remove(block)

    def add(self) -> None:
        block: _Block = self.me().frames[-1]
        if len(block.members) == _MAX_MEMBERS:
            return
        actor = Actor(self, len(self.actors))
        actor.frames = [block]
        before = len(block.members)
        self.scene.add_member(block.group, block.members, self.serve, actor)
        if len(block.members) > before:
            self.enter(actor, block.members[-1])
            block.actors.append(actor)

    def serve(self, actor: Actor) -> None:
        try:
            actor.serve()
        except coro.Shutdown:
            if not choose(2):
                self.clean_up()
            raise

    def clean_up(self) -> None:
        """Take some time over it, which no second Shutdown of the group may disturb."""
        try:
            coro.sleep_relative(1)
        except coro.Shutdown:
            assert coro.current() in self.shut_down_threads, "a member was shut down twice"
            raise

    def shut_group_down(self) -> None:
        me = self.me()
        block: _Block = me.frames[-1]
        if not block.must_end:
            block.excepted += [actor for actor in block.actors if actor is me]
        block.was_shut_down = True
        block.group.shutdown()
        assert not block.group.is_open

    def check(self) -> None:
        for block in self.blocks:
            alive = [member for member in block.members if not member.dead]
            assert list(block.group.threads) == alive
            assert not (block.must_end and block.group.is_open), f"{block.group!r} has failed, and goes on"

    def check_at_rest(self) -> None:
        super().check_at_rest()
        for block in self.blocks:
            owner = block.owner
            if block.must_end:
                assert not block.goes_on(), f"{block.goes_on()} of {block.group!r} were not shut down"
            if block.has_failed and block.has_body:
                assert not owner.is_waiting, f"a member of {block.group!r} has failed, and the body goes on"
            if not block.has_body and owner.thread.waiting_on is block.group and self.knocks.pending(owner.thread):
                assert not block.goes_on(), f"{block.group!r} was interrupted, and {block.goes_on()} go on"

    def at_end(self) -> None:
        super().at_end()
        self.scene.check_heard(self.heard)
