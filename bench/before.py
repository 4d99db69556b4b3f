"""An older commit beside today's, in one run: `python -m bench.before COMMIT`.

Both answer the same request from the same model folder, each by its own code in a process of its own: warm, in turns,
and from a cold start, in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import models
from bench.start import with_bytecode
from bench.steady import start_event, warm_store
from bench.store import running_store

_TURNS = 12
_REQUESTS_A_TURN = 15
_STARTS = 9

# Answers a line on standard input with the shortest of some requests, in milliseconds.
_WARM = """
import json, sys, time
from moderator.handler import handler
event = json.load(open(sys.argv[1]))
def ask():
    began = time.perf_counter()
    assert handler(event, None)["statusCode"] == 200
    return (time.perf_counter() - began) * 1000
ask()
for line in sys.stdin:
    ask()
    print("SHORTEST", min(ask() for _ in range(int(line))), flush=True)
"""

_COLD = """
import json, sys, time
from moderator.handler import handler
assert handler(json.load(open(sys.argv[1])), None)["statusCode"] == 200
print("ANSWERED", time.time())
"""


def measure(commit: str) -> dict[str, dict[str, float]]:
    """Return the warm request in milliseconds and the cold start in seconds, of both: the shortest."""
    folder = models.exported("auto")
    with tempfile.TemporaryDirectory() as name, running_store() as url:
        tree = Path(name, "tree")
        subprocess.run(["git", "worktree", "add", "--detach", str(tree), commit], check=True, capture_output=True)
        try:
            file = Path(name, "event.json")
            file.write_text(json.dumps(start_event()))
            warm_store(folder, url)
            environment = with_bytecode() | {"MODEL_DIR": str(folder.resolve()), "CACHE_URL": url}
            sources = {"before": tree / "lambda_src", "today": Path("lambda_src")}
            of = {which: environment | {"PYTHONPATH": str(path.resolve())} for which, path in sources.items()}
            return {"warm_ms": _warm(of, file), "cold_start_s": _cold(of, file)}
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=True)


def main() -> None:
    """Print both, and their ratios."""
    (commit,) = sys.argv[1:] or sys.exit("Which commit? python -m bench.before COMMIT")
    for what, figures in measure(commit).items():
        ratio = figures["today"] / figures["before"]
        print(f"{what:13} {commit}: {figures['before']:.3f}  today: {figures['today']:.3f}  ratio: {ratio:.3f}")


def _warm(environments: dict[str, dict[str, str]], file: Path) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-c", _WARM, str(file)]
    running = {
        which: subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for which, environment in environments.items()
    }
    try:
        times: dict[str, list[float]] = {which: [] for which in running}
        for _ in range(_TURNS):
            for which, process in running.items():
                times[which].append(_shortest(process))
        return {which: min(values) for which, values in times.items()}
    finally:
        for process in running.values():
            process.kill()
            process.communicate()


def _shortest(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None  # noqa: S101  # it was asked for
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(f"{_REQUESTS_A_TURN}\n")
    process.stdin.flush()
    # The service writes its log and its metrics to the same place.
    for line in process.stdout:
        if line.startswith("SHORTEST"):
            return float(line.split()[1])
    raise RuntimeError("The service ended before it answered.")


def _cold(environments: dict[str, dict[str, str]], file: Path) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-c", _COLD, str(file)]
    times: dict[str, list[float]] = {which: [] for which in environments}
    for number in range(_STARTS + 1):
        for which, environment in environments.items():
            began = time.time()
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            if number:  # the first compiles and reads files from the disk
                times[which].append(float(done.stdout.split("ANSWERED")[1]) - began)
    return {which: min(values) for which, values in times.items()}


if __name__ == "__main__":
    main()
