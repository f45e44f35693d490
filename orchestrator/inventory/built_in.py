"""What holds for a host where the inventory says nothing."""

from __future__ import annotations

from msgspec import structs

from orchestrator.core.host import Connect, Host
from orchestrator.inventory.tree import Fields, Leaf, Origin, Tree

_BUILT_IN = Origin(None, "built-in")


def named(name: str) -> dict[str, Tree]:
    """What of it is a host's name."""
    leaf = Leaf(name, _BUILT_IN)
    return {"address": leaf, "attr": leaf}


def built_in() -> Fields:
    """What holds for every host where the inventory says nothing, taken from the model.

    Its address and its attribute stand first, and are still to be :func:`named`.
    """
    host = Host(name="", attr="", connect=Connect(address=""))
    seconds = structs.asdict(host.deadlines)
    verify = {key: getattr(host.verify, key) for key in ("settle", "retries", "interval")}
    return Fields(
        {
            **named(""),
            "connect": Fields({"sudo": Leaf(host.connect.sudo, _BUILT_IN)}),
            "build": Leaf(str(host.build), _BUILT_IN),
            "unsigned_builds": Leaf(host.unsigned_builds.value, _BUILT_IN),
            "system": Leaf(host.system, _BUILT_IN),
            "verify": Fields({key: Leaf(value, _BUILT_IN) for key, value in verify.items()}),
            "deadlines": Fields({key: Leaf(value, _BUILT_IN) for key, value in seconds.items()}),
            "guard": Fields(
                {
                    "confirm": Leaf(host.guard.confirm, _BUILT_IN),
                    "health": Leaf(host.guard.health, _BUILT_IN),
                    "failed_units": Leaf(host.guard.failed_units.value, _BUILT_IN),
                    "steady": Leaf(host.guard.steady, _BUILT_IN),
                    "last_resort": Leaf(host.guard.last_resort.value, _BUILT_IN),
                }
            ),
            "preflight": Fields(
                {
                    "store_margin": Leaf(host.preflight.store_margin, _BUILT_IN),
                    "clock_skew": Leaf(host.preflight.clock_skew, _BUILT_IN),
                }
            ),
            "specialisation": Leaf(str(host.specialisation), _BUILT_IN),
            "unreachable": Leaf(host.unreachable.value, _BUILT_IN),
            "pending_expiry": Leaf(host.pending_expiry, _BUILT_IN),
        }
    )
