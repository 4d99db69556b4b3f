"""From counted blocks of instructions to cycles, by llvm-mca's model of the processor."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Graviton2's own: https://aws.amazon.com/ec2/graviton/
PROCESSOR = "neoverse-n1"
GIGAHERTZ = 2.5

_TRIPLE = "aarch64-linux-gnu"
_ITERATIONS = 20
# Fewer executions are not worth asking about: their instructions count as the others' average.
_SHARE = 0.98
_BRANCHES = ("b\t", "b.", "bl", "br", "ret", "svc", "cbz", "cbnz", "tbz", "tbnz")
_REGION = re.compile(r"^\[\d+\] Code Region - (\S+)$.*?^Total Cycles:\s+(\d+)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A straight line of instructions, and how often it was executed."""

    address: int
    executions: int
    words: tuple[int, ...]

    @property
    def instructions(self) -> int:
        """How many instructions of it were executed."""
        return self.executions * len(self.words)


@dataclass(frozen=True, kw_only=True)
class Count:
    """What was executed between two marks."""

    instructions: int
    blocks: Sequence[Block]  # those executed most, not all


def read_counts(path: Path) -> list[Count]:
    """Read what counter.c wrote, without what came before the first mark."""
    counts: list[Count] = []
    for section in path.read_text().split("mark ")[2:]:
        head, *lines = section.splitlines()
        blocks = []
        for line in lines:
            address, executions, _, words = line.split()
            blocks.append(
                Block(
                    address=int(address, 16),
                    executions=int(executions),
                    words=tuple(int(words[place : place + 8], 16) for place in range(0, len(words), 8)),
                )
            )
        counts.append(Count(instructions=int(head), blocks=blocks))
    return counts


def cycles(count: Count, tools: Path) -> float:
    """Estimate the cycles: each block as a loop of itself, all that it reads in the nearest cache.

    Args:
        count: what was executed.
        tools: the folder of llvm-mc and llvm-mca, of a version that has a model of this processor (16 or newer).
    """
    hot: list[Block] = []
    for block in count.blocks:
        if sum(one.instructions for one in hot) >= _SHARE * count.instructions:
            break
        hot.append(block)
    of = _cycles_an_execution(hot, tools)
    known = [(block, of[f"b{place}"]) for place, block in enumerate(hot) if f"b{place}" in of]
    covered = sum(block.instructions for block, _ in known)
    return sum(block.executions * each for block, each in known) * count.instructions / covered


def milliseconds(cycles_executed: float) -> float:
    """Return the time of one core at its clock."""
    return cycles_executed / GIGAHERTZ / 1e6


def _cycles_an_execution(blocks: Sequence[Block], tools: Path) -> Mapping[str, float]:
    assembly = _assembly(sorted({word for block in blocks for word in block.words}), tools)
    written = []
    for place, block in enumerate(blocks):
        lines = [assembly[word] for word in block.words if word in assembly]
        if lines:
            written += [f"# LLVM-MCA-BEGIN b{place}", *lines, "# LLVM-MCA-END"]
    done = subprocess.run(
        [
            *(str(tools / "llvm-mca"), f"-mtriple={_TRIPLE}", f"-mcpu={PROCESSOR}", f"-iterations={_ITERATIONS}"),
            *("-resource-pressure=false", "-instruction-info=false", "-skip-unsupported-instructions=lack-sched"),
        ],
        input="\n".join(written) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: int(total) / _ITERATIONS for name, total in _REGION.findall(done.stdout)}


def _assembly(words: Sequence[int], tools: Path) -> dict[int, str]:
    """Disassemble each word; branches are left out, for llvm-mca takes none, and so is what is not known."""
    data = "\n".join(" ".join(f"0x{byte:02x}" for byte in word.to_bytes(4, "little")) for word in words)
    done = subprocess.run(
        [str(tools / "llvm-mc"), "--disassemble", f"-triple={_TRIPLE}", f"-mcpu={PROCESSOR}"],
        input=data,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip() and not line.strip().startswith(".")]
    if len(lines) != len(words):  # some are not known: those are in one of the halves
        if len(words) == 1:
            return {}
        half = len(words) // 2
        return _assembly(words[:half], tools) | _assembly(words[half:], tools)
    return {word: line for word, line in zip(words, lines, strict=True) if not line.startswith(_BRANCHES)}
