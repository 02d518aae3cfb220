"""Worms: one arena, hundreds of worms, each a thread; and for everybody who comes by telnet a view of them all.

The files, from the inside out:

arena      the arena and the worms in it: pure rules, which know neither threads nor terminals.
colony     the worms' threads: crawl, sleep, crawl, sleep …; and what a visitor may do to them.
screen     frames made of cells, and the bytes that turn one frame on a terminal into the next.
keyboard   the bytes that a terminal sends, as keys.
window     which part of the arena a visitor sees, and as what.
view       a visitor's session: one thread reads the keys, one paints.
console    what this daemon adds to the console: two commands and a health check.
daemon     the arena, its telnet server and its backdoor, together.
terminal   a small terminal in memory, which understands what screen and the console say.
visitor    a telnet client that looks at the arena with such a terminal.
demo       the daemon in a process of its own, and the console on it.
__main__   the command line.

    python -m examples.worms          then, as it says, in other terminals: telnet 127.0.0.1 PORT, coro attach
    python -m examples.worms --demo   the same, and this terminal becomes the console
"""
