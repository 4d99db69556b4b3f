"""Measures a deployed stack from a desk and prints one table: `make measure URL=... [FUNCTION=...]`.

It only asks: nothing is deployed, changed or deleted. It sends about 250 small pictures and puts six labels into the
store, which forgets them in time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

from tools.measure.access import access_to, region_of
from tools.measure.caller import Answer, Caller, address
from tools.measure.log import read
from tools.measure.outside import drawn_picture, health, starts, store_use, warm
from tools.measure.table import Measured, markdown
from tools.measure.trouble import Trouble

_INCOMPLETE, _UNUSABLE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 0, 1 where the log or the store was not as wanted, 2 where nothing could be measured."""
    asked = _parse(arguments)
    try:
        picture = asked.picture.read_bytes() if asked.picture else drawn_picture()
        url = address(asked.url)
        # A token on a command line can be read by everybody on this machine: it comes by the environment.
        caller = Caller(url, access_to(url, asked.auth, os.environ.get("TOKEN", "")))
        region = region_of(url) if asked.function else ""
        _tell("Is it healthy?")
        first = health(caller)
        found_health = first.json()
        _tell("Asking several times at once, so that instances must start")
        found_starts = starts(caller, first)
        _tell("Asking for a new label, by way of several instances")
        found_store = store_use(caller, picture, found_health["store"]["state"])
        _tell(f"Asking {asked.requests} times, one request after the other")
        found_warm = warm(caller, picture, asked.requests)
        caller.close()
    except (Trouble, OSError) as error:
        print(f"measure: {error}", file=sys.stderr)
        return _UNUSABLE
    log, trouble = None, ""
    if asked.function:
        _tell("Reading the function's log, which takes its time to arrive")
        try:
            pictures = found_store.pictures + found_warm.pictures
            log = read(asked.function, region, _moment(first), pictures, asked.wait)
        except Trouble as error:
            trouble = str(error)
        else:
            trouble = log.trouble
    print(markdown(Measured(health=found_health, starts=found_starts, store=found_store, warm=found_warm, log=log)))
    if trouble:
        print(f"measure: {trouble}", file=sys.stderr)
    return _INCOMPLETE if trouble or found_store.used is False else 0


def _moment(first: Answer) -> int:
    """When the first request began, in ms since 1970, by the server's clock: the log's times are by it."""
    try:
        answered = parsedate_to_datetime(first.headers["date"]).timestamp()
    except (KeyError, ValueError) as error:
        raise Trouble("The first answer has no date, by which the log's lines could be found.") from error
    return int(1000 * (answered - first.seconds))


def _tell(doing: str) -> None:
    print(f"... {doing}", file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make measure", description=__doc__)
    parser.add_argument("url", help="the service, as `pulumi stack output url` says it")
    parser.add_argument("--function", default="", help="the function's name, to read its log too")
    parser.add_argument("--auth", default="", help="iam, token or jwt (with the variable TOKEN), or none")
    parser.add_argument("--picture", type=Path, help="a picture of your own, instead of a drawn one")
    parser.add_argument("--requests", type=_some, default=200, help="how many warm requests; 200 unless given")
    parser.add_argument("--wait", type=float, default=90.0, help="seconds that the log may take to arrive")
    return parser.parse_args(arguments)


def _some(text: str) -> int:
    if not text.isdigit() or not 10 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 10 to 10000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
