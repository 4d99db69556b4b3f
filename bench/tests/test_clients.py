"""Other services' forms cost next to nothing."""

from __future__ import annotations

from bench import clients, pictures
from moderator.web.gateway import split_target
from moderator.web.routes import ROUTES


def test_no_adapter_costs_a_millisecond_over_our_own_form() -> None:
    figures = clients.measure(rounds=40)
    assert set(figures) == set(clients.OWN)
    assert max(figures.values()) < clients.MOST_MS, figures


def test_the_route_of_every_adapter_is_measured() -> None:
    asked = clients.requests(pictures.thumbnail())
    measured = {split_target(asked[name]["rawPath"])[0] for name in clients.OWN}
    missing = {route.path for route in ROUTES if route.adapter} - measured
    assert not missing, f"{missing}: add a request to bench/clients.py, and to OWN the same question in our own form."
