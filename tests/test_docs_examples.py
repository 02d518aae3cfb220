"""Every example of README.md and docs/ is run.

A fenced ```python block is a script of its own: it runs in a fresh interpreter with warnings as errors, and
must exit 0. An ```output block right after it is what it must print; a line `...` there stands for any lines.
A ```pycon block runs through doctest. A comment before a block changes that:

`<!-- example: continue -->` runs the page's earlier blocks of the same kind first, in the same interpreter;
the ```output block is compared with what this block itself prints.
`<!-- example: no-run REASON -->` leaves the block out, and is for the few that cannot run.
"""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TIME_LIMIT_S = 20
MAX_SHARE_NOT_RUN = 0.1

KIND_OF_TAG = {"python": "python", "python3": "python", "py": "python", "pycon": "pycon", "output": "output"}
FENCE = re.compile(r"(?P<indent> *)(?P<marks>`{3,}|~{3,}) *(?P<tag>[\w+-]*)[^`]*$")
COMMENT = re.compile(r"\s*<!--\s*example:\s*(?P<what>\S+)\s*(?P<reason>.*?)\s*-->\s*")

# Printed between the earlier blocks and a continued one: it shows that the block was reached, and where its
# output begins.
MARK = "-- the continued example begins --"


@dataclass(slots=True)
class Example:
    """One block of a page. `fault` says what is wrong with the way it is written."""

    page: str
    line: int
    kind: str
    code: str
    output: str | None = None
    earlier: list[str] = field(default_factory=list)
    not_run: str | None = None
    fault: str | None = None


@dataclass(slots=True)
class Block:
    """A fenced block as it stands in the page; `line` is that of its opening fence, from 1."""

    line: int
    tag: str
    text: str
    before: str
    closed: bool


def blocks_of(text: str) -> list[Block]:
    """Find the fenced blocks. `before` is the last line that is not blank before the fence."""
    lines = text.splitlines()
    blocks = []
    before = ""
    index = 0
    while index < len(lines):
        opening = FENCE.match(lines[index])
        if opening is None:
            before = lines[index] if lines[index].strip() else before
            index += 1
            continue
        start, indent, marks = index, len(opening["indent"]), opening["marks"]
        closing = re.compile(rf" *{re.escape(marks[0])}{{{len(marks)},}} *")
        index += 1
        while index < len(lines) and not closing.fullmatch(lines[index]):
            index += 1
        # A block inside a list is indented: take away as much as its fence has, and no code.
        body = [re.sub(rf"^ {{0,{indent}}}", "", line) for line in lines[start + 1 : index]]
        content = "".join(f"{line}\n" for line in body)
        blocks.append(Block(start + 1, opening["tag"].lower(), content, before, index < len(lines)))
        before = lines[start]
        index += 1
    return blocks


def examples_of(page: str, text: str) -> list[Example]:
    """Read the examples of one page, in order. A faulty one is returned too, with its `fault`."""
    examples: list[Example] = []
    blocks = blocks_of(text)
    for position, block in enumerate(blocks):
        kind = KIND_OF_TAG.get(block.tag)
        if kind == "output":
            previous = blocks[position - 1] if position else None
            # The fence itself is the last line before, unless text or a comment stands between.
            follows = previous is not None and KIND_OF_TAG.get(previous.tag) == "python"
            if follows and FENCE.match(block.before):
                examples[-1].output = block.text
            else:
                fault = "an output block must follow a python block, with nothing but blank lines between"
                examples.append(Example(page, block.line, kind, block.text, fault=fault))
        elif kind is not None:
            example = Example(page, block.line, kind, block.text)
            apply_comment(example, block.before, examples)
            if not block.closed:
                example.fault = "the block is never closed"
            elif kind == "pycon" and ">>>" not in block.text:
                example.fault = "a pycon block without >>> tests nothing"
            examples.append(example)
    return examples


def apply_comment(example: Example, comment: str, examples: list[Example]) -> None:
    """Apply the comment before a block, if it is one of ours."""
    found = COMMENT.fullmatch(comment)
    if found is None:
        if "<!--" in comment and "example:" in comment:
            example.fault = f"cannot read the comment {comment.strip()!r}"
    elif found["what"] == "continue" and not found["reason"]:
        example.earlier = [
            earlier.code for earlier in examples if earlier.kind == example.kind and earlier.not_run is None
        ]
        if not example.earlier:
            example.fault = "there is no earlier block to continue"
    elif found["what"] == "no-run" and found["reason"]:
        example.not_run = found["reason"]
    elif found["what"] == "no-run":
        example.fault = "no-run needs a reason"
    else:
        example.fault = f"cannot read the comment {comment.strip()!r}"


def fault_of_output(expected: str, printed: str) -> str | None:
    """Compare, trailing white space aside; a line `...` in `expected` stands for any lines, none included."""
    wanted = [line.rstrip() for line in expected.rstrip().splitlines()]
    got = [line.rstrip() for line in printed.rstrip().splitlines()]
    pattern = "".join(r"(?:.*\n)*" if line.strip() == "..." else re.escape(line) + r"\n" for line in wanted)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in got)):
        return None
    return "\n".join(["it should print", *wanted, "but it prints", *got])


def run(command: list[str], folder: Path, limit_s: float) -> tuple[int | None, str, str]:
    """Run a program in the folder; returns (status, stdout, stderr), the status None if it took too long."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            stdout, stderr = process.communicate(timeout=limit_s)
            return process.returncode, stdout, stderr
        except subprocess.TimeoutExpired:
            # Its session, and so its children too: one of them may hold the pipes open.
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            return None, stdout, stderr


def fault_of(example: Example, folder: Path, limit_s: float = TIME_LIMIT_S) -> str | None:
    """Run the example with `folder` as the current one; returns what is wrong with it, or None."""
    if example.fault is not None:
        return example.fault
    interpreter = [sys.executable, "-X", "dev", "-W", "error"]
    if example.kind == "pycon":
        script = folder / "example.txt"
        script.write_text("\n".join([*example.earlier, example.code]))
        command = [*interpreter, "-m", "doctest", "-o", "ELLIPSIS", script.name]
    else:
        script = folder / "example.py"
        parts = [*example.earlier, f"print({MARK!r}, flush=True)\n"] if example.earlier else []
        script.write_text("".join([*parts, example.code]))
        command = [*interpreter, script.name]
    status, stdout, stderr = run(command, folder, limit_s)
    if status != 0:
        end = f"did not end within {limit_s} s" if status is None else f"exited with {status}"
        return f"it {end}\nstdout:\n{stdout}\nstderr:\n{stderr}\nthe script was:\n{script.read_text()}"
    if example.earlier and example.kind == "python":
        _, mark, stdout = stdout.partition(f"{MARK}\n")
        if not mark:
            return "the earlier blocks of the page end the script before this block begins"
    return None if example.output is None else fault_of_output(example.output, stdout)


def all_examples() -> list[Example]:
    """Read README.md and docs/**/*.md, those that exist."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        example
        for page in pages
        if page.exists()
        for example in examples_of(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))
    ]


EXAMPLES = all_examples()


@pytest.mark.parametrize("example", [pytest.param(e, id=f"{e.page}:{e.line}") for e in EXAMPLES])
def test_example_runs(example: Example, tmp_path: Path) -> None:
    if example.not_run is not None:
        pytest.skip(f"no-run: {example.not_run}")
    fault = fault_of(example, tmp_path)
    if fault is not None:
        pytest.fail(f"{example.page}:{example.line}: {fault}", pytrace=False)


def too_many_not_run(examples: list[Example]) -> bool:
    """Say whether more of the examples are left out than may be."""
    return sum(example.not_run is not None for example in examples) > MAX_SHARE_NOT_RUN * len(examples)


def test_few_examples_are_left_out() -> None:
    left_out = [f"{e.page}:{e.line}: {e.not_run}" for e in EXAMPLES if e.not_run is not None]

    assert not too_many_not_run(EXAMPLES), f"of {len(EXAMPLES)} examples, not run: {left_out}"


def read(*lines: str) -> list[Example]:
    return examples_of("page.md", "\n".join(lines))


def test_blocks_are_found_with_their_lines_and_output() -> None:
    found = read(
        "text",
        "```python",
        "print(1)",
        "```",
        "",
        "```output",
        "1",
        "```",
        "```sh",
        "ls",
        "```",
        "```pycon",
        ">>> 1",
        "1",
        "```",
    )

    assert [(e.line, e.kind, e.code, e.output, e.fault) for e in found] == [
        (2, "python", "print(1)\n", "1\n", None),
        (12, "pycon", ">>> 1\n1\n", None, None),
    ]


def test_block_in_a_list_loses_the_indent_of_its_fence() -> None:
    [found] = read("1. do", "", "   ```python", "   if 1:", "       print(1)", "", "   ```")

    assert found.code == "if 1:\n    print(1)\n\n"


def test_blocks_inside_a_longer_fence_are_its_text() -> None:
    assert read("````markdown", "```python", "print(1)", "```", "````", "```a``` b") == []


def test_continue_takes_the_earlier_blocks_of_its_kind_that_run() -> None:
    found = read(
        *("```python", "a = 1", "```", "```pycon", ">>> 1", "```"),
        *("<!-- example: no-run needs root -->", "```python", "b = 2", "```"),
        *("<!-- example: continue -->", "", "```python", "print(a)", "```"),
    )

    assert [e.not_run for e in found] == [None, None, "needs root", None]
    assert found[3].earlier == ["a = 1\n"]
    assert [e.fault for e in found] == [None] * 4


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["<!-- example: no-run -->", "```python", "```"], "no-run needs a reason"),
        (["<!-- example: continue -->", "```python", "```"], "there is no earlier block to continue"),
        (
            ["<!-- example: skip it -->", "```python", "```"],
            "cannot read the comment '<!-- example: skip it -->'",
        ),
        (["```python", "print(1)"], "the block is never closed"),
        (["```pycon", "1 + 1", "```"], "a pycon block without >>> tests nothing"),
        (
            ["```output", "1", "```"],
            "an output block must follow a python block, with nothing but blank lines between",
        ),
    ],
)
def test_block_that_is_written_wrong_is_a_fault(lines: list[str], fault: str, tmp_path: Path) -> None:
    [found] = read(*lines)

    assert fault_of(found, tmp_path) == fault


def test_output_after_other_text_is_a_fault() -> None:
    found = read("```python", "print(1)", "```", "it prints", "```output", "2", "```")

    assert found[0].output is None
    assert found[1].fault is not None


@pytest.mark.parametrize(
    ("expected", "printed", "equal"),
    [
        ("a\nb\n", "a  \nb\n\n", True),
        ("", "", True),
        ("a\n", "", False),
        ("", "a\n", False),
        ("a\n...\nb\n", "a\nb\n", True),
        ("a\n...\nb\n", "a\n1\n2\nb\n", True),
        ("a\n...\nb\n", "a\n1\nc\n", False),
        ("...\n", "", True),
        ("a.c\n", "abc\n", False),
        ("a\n", " a\n", False),
    ],
)
def test_output_is_compared_line_by_line(expected: str, printed: str, equal: bool) -> None:
    assert (fault_of_output(expected, printed) is None) is equal


def test_examples_that_work_have_no_fault(tmp_path: Path) -> None:
    found = read(
        *("```python", "import sys", "print('first')", "```", "```output", "first", "```"),
        *("<!-- example: continue -->", "```python", "print(sys.argv)", "sys.exit(0)", "```"),
        *("```output", "['example.py']", "```", "```pycon", ">>> 1 + 1", "2", "```"),
    )

    assert [fault_of(example, tmp_path) for example in found] == [None] * 3


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["```python", "raise SystemExit(3)", "```"], "it exited with 3\n"),
        (["```python", "import warnings", "warnings.warn('old')", "```"], "it exited with 1\n"),
        (["```python", "print(2)", "```", "```output", "1", "```"], "it should print\n1\nbut it prints\n2"),
        (["```python", "import time", "time.sleep(60)", "```"], "it did not end within 0.5 s\n"),
        (["```pycon", ">>> 1 + 1", "3", "```"], "it exited with 1\n"),
        (
            ["```python", "exit(0)", "```", "<!-- example: continue -->", "```python", "1 / 0", "```"],
            "the earlier blocks of the page end the script before this block begins",
        ),
    ],
)
def test_example_that_does_not_work_is_a_fault(lines: list[str], fault: str, tmp_path: Path) -> None:
    example = read(*lines)[-1]

    found = fault_of(example, tmp_path, 0.5 if "within" in fault else TIME_LIMIT_S)

    assert found is not None
    assert found.startswith(fault)


def test_one_in_ten_may_be_left_out_and_not_more() -> None:
    runs = Example("page.md", 1, "python", "")
    left_out = Example("page.md", 2, "python", "", not_run="needs root")

    assert not too_many_not_run([])
    assert not too_many_not_run([*[runs] * 9, left_out])
    assert too_many_not_run([*[runs] * 8, left_out])
