"""Runs Python where there is no network but a resolver that notes what it is asked, and finds nothing.

As root on Linux only: it makes a network and a mount namespace of its own. `python sealed_network.py RESOLV_CONF NOTES
CODE` is the inside.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

POSSIBLE = sys.platform == "linux" and os.geteuid() == 0 and all(map(shutil.which, ("unshare", "ip", "mount")))


def names_asked(code: str, folder: Path, environment: dict[str, str]) -> tuple[list[str], str]:
    """Run `code`, which can import the service; return the names that were looked up, and what was printed."""
    notes, resolv_conf = folder / "notes", folder / "resolv.conf"
    notes.write_text("")
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    command = ["unshare", "--net", "--mount", sys.executable, __file__, str(resolv_conf), str(notes), code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return notes.read_text().split(), done.stdout + done.stderr


def _answer(resolver: socket.socket, notes: Path) -> None:
    while True:
        question, client = resolver.recvfrom(4096)
        parts, place = [], 12  # after the header
        while length := question[place]:
            parts.append(question[place + 1 : place + 1 + length].decode(errors="replace"))
            place += 1 + length
        with notes.open("a") as file:
            file.write(".".join(parts) + "\n")
        # The question again, as an answer: recursion available, no such name.
        resolver.sendto(question[:2] + b"\x81\x83" + question[4:6] + bytes(6) + question[12:], client)


def _inside(resolv_conf: str, notes: str, code: str) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--bind", resolv_conf, "/etc/resolv.conf"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 53))
        threading.Thread(target=_answer, args=(resolver, Path(notes)), daemon=True).start()
        return subprocess.run([sys.executable, "-c", code], check=False).returncode


if __name__ == "__main__":
    sys.exit(_inside(*sys.argv[1:]))
