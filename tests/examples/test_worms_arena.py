"""The rules of worms, which need neither threads nor time."""

from random import Random

import pytest

from examples.worms.arena import (
    COLOUR_SHIFT,
    FREE,
    HEAD,
    HEADING_OF,
    LOGO,
    PATIENCE,
    STEPS,
    STONE,
    Arena,
    Square,
    Worm,
)


def check(arena: Arena, worms: list[Worm]) -> None:
    """The module's invariant, and that every square's code says what is there."""
    owners: dict[Square, Worm] = {}
    for worm in worms:
        for square in worm.body:
            assert square not in owners
            owners[square] = worm
    for y, row in enumerate(arena.rows):
        for x, code in enumerate(row):
            owner = owners.get((x, y))
            assert code >> COLOUR_SHIFT == (owner.colour if owner else 0)
            if owner:
                assert 1 <= x <= arena.width
                assert 1 <= y <= arena.height
                assert code == owner.colour << COLOUR_SHIFT | expected_links(owner, (x, y))


def expected_links(worm: Worm, square: Square) -> int:
    """The lower bits of a square's code, found the slow way."""
    body = list(worm.body)
    at = body.index(square)
    links = HEAD if at == len(body) - 1 else 0
    for heading, (step_x, step_y) in enumerate(STEPS):
        neighbour = (square[0] + step_x, square[1] + step_y)
        if neighbour in body and abs(body.index(neighbour) - at) == 1:
            links |= 1 << heading
    return links


def born(arena: Arena, length: int, colour: int = 1) -> Worm:
    """A worm that is one square long."""
    worm = Worm(arena, colour, length)
    assert worm.be_born()
    return worm


def room(arena: Arena, *squares: Square) -> None:
    """Fill the arena with stones, up to these squares."""
    for y in range(1, arena.height + 1):
        for x in range(1, arena.width + 1):
            arena.rows[y][x] = FREE if (x, y) in squares else STONE


@pytest.mark.parametrize("seed", range(5))
def test_no_two_worms_share_a_square_whatever_happens(seed: int) -> None:
    dice = Random(seed)
    arena = Arena(30, 12, dice)
    worms: list[Worm] = []
    for _ in range(400):
        if len(worms) < 25 and dice.random() < 0.3:
            worms.append(born(arena, dice.randint(2, 20), dice.randint(1, 12)))
        for worm in list(worms):
            worm.wanted_length = max(2, worm.wanted_length + dice.randint(-2, 2))
            if dice.random() < 0.02:
                worm.vanish()
            elif dice.random() < 0.02:
                worm.shrink()
            else:
                worm.crawl()
            if not worm.body:
                worms.remove(worm)
        check(arena, worms)


def test_worm_moves_one_square_and_grows_to_its_length() -> None:
    arena = Arena(40, 20, Random(1))
    worm = born(arena, 6)
    lengths = []
    for _ in range(10):
        before = worm.body[-1]
        assert worm.crawl()
        after = worm.body[-1]
        assert (after[0] - before[0], after[1] - before[1]) in HEADING_OF
        lengths.append(len(worm.body))

    assert lengths == [2, 3, 4, 5, 6, 6, 6, 6, 6, 6]
    worm.wanted_length = 3
    for _ in range(5):
        worm.crawl()
    assert len(worm.body) == 3


def test_worm_turns_at_an_obstacle() -> None:
    arena = Arena(10, 5, Random(1))
    corner = [(1, 1), (2, 1), (3, 1), (3, 2), (3, 3)]
    room(arena, *corner)
    worm = Worm(arena, 1, 10)
    worm.body.append((1, 1))

    for _ in range(4):
        assert worm.crawl()

    assert list(worm.body) == corner
    check(arena, [worm])


def test_boxed_in_worm_turns_about_and_gets_out() -> None:
    arena = Arena(10, 5, Random(1))
    room(arena, (4, 2), (5, 2), (6, 2), (7, 2))
    worm = Worm(arena, 1, 3)
    worm.body.append((5, 2))
    worm.heading = HEADING_OF[1, 0]
    worm.crawl()
    worm.crawl()
    assert list(worm.body) == [(5, 2), (6, 2), (7, 2)]

    assert worm.crawl()
    assert list(worm.body) == [(7, 2), (6, 2), (5, 2)]
    check(arena, [worm])
    assert worm.crawl()
    assert list(worm.body) == [(6, 2), (5, 2), (4, 2)]
    check(arena, [worm])


def test_worm_that_is_boxed_in_for_good_gives_up() -> None:
    arena = Arena(10, 5, Random(1))
    room(arena, (5, 2))
    worm = born(arena, 3)

    assert [worm.crawl() for _ in range(PATIENCE)] == [True] * (PATIENCE - 1) + [False]
    assert not worm.shrink()
    assert arena.rows[2][5] == FREE


def test_patience_is_for_each_box_anew() -> None:
    arena = Arena(10, 5, Random(1))
    room(arena, (5, 2))
    worm = born(arena, 3)
    for _ in range(PATIENCE - 2):
        assert worm.crawl()
    # A square more, and then boxed in again: it may turn about as often as before.
    arena.rows[2][6] = FREE
    while len(worm.body) == 1:
        assert worm.crawl()

    assert [worm.crawl() for _ in range(PATIENCE)] == [True] * (PATIENCE - 1) + [False]


def test_nobody_is_born_where_there_is_no_room() -> None:
    arena = Arena(10, 5, Random(1))
    room(arena)

    assert not Worm(arena, 1, 3).be_born()


def test_walls_close_and_the_logo_lies_in_the_middle() -> None:
    arena = Arena(60, 21, Random(1))
    edge = [*arena.rows[0], *arena.rows[-1], *(row[0] for row in arena.rows), *(row[-1] for row in arena.rows)]
    stones = [(x, y) for y, row in enumerate(arena.rows) for x, code in enumerate(row) if code == STONE]

    assert all(0 < code < STONE for code in edge)
    assert len(stones) == sum(line.count("#") for line in LOGO)
    assert (min(x for x, _ in stones) + max(x for x, _ in stones)) // 2 in (30, 31)
    assert (min(y for _, y in stones) + max(y for _, y in stones)) // 2 == 11
    assert len({len(line) for line in LOGO}) == 1


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [(9, 5, "width must be 10 to 1000 squares, got 9"), (10, 501, "height must be 5 to 500 squares, got 501")],
)
def test_size_out_of_range_is_refused(width: int, height: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Arena(width, height, Random(1))
