"""Who decides what runs on a host beside this machine: whoever is root where its system is built.

A system that another host built is imported as root, without a signature. That is said of each such
host, and what the inventory says may forbid it: then it comes from a cache, signed.
"""

from __future__ import annotations

from orchestrator.core.errors import RefusedError
from orchestrator.core.host import BuildOn, BuildSite, UnsignedBuilds
from orchestrator.core.plan import HostPlan, Step
from orchestrator.deploy.work import HostWork


def site_of(work: HostWork) -> BuildSite:
    """Where a host's system is built."""
    return work.session.request.build or work.host.build


def fetches(work: HostWork) -> bool:
    """Whether a host fetches its system, signed; a person who names a way has it copied."""
    substitutes = work.host.substitute is not None and work.session.request.copy is None
    return substitutes and site_of(work).on is not BuildOn.TARGET


def say_or_refuse(work: HostWork, plan: HostPlan) -> None:
    """Tell whose word a host's system is taken for.

    Raises:
        RefusedError: The host accepts nothing that another machine built, unless it is signed.
    """
    if not {Step.BUILD, Step.COPY} <= set(plan.steps) or not (builder := _unsigned(work)):
        return
    text = f"built on {builder} and not signed: whoever is root there decides what runs here"
    if work.host.unsigned_builds is UnsignedBuilds.REFUSE:
        error = RefusedError(
            f"to be {text}, which `unsigned_builds: refuse` forbids",
            hint="build it here (--build-on here), or have it fetched from a cache that the "
            "builder fills and signs for (docs/caches.md)",
        )
        error.step = "build"
        raise error
    if site_of(work).on is BuildOn.BUILDER:
        work.notice(text, warning=True)


def _unsigned(work: HostWork) -> str:
    """Another machine whose builds reach the host without a signature; empty where there is none.

    What Nix's own builders give back is in the store here as if it had been built here.
    """
    site = site_of(work)
    match site.on:
        case BuildOn.TARGET:
            return ""
        case BuildOn.BUILDER:
            foreign = site.builder != work.host.name and not fetches(work)
            return str(site) if foreign else ""
        case BuildOn.HERE:
            builders = work.session.setup.fleet.builders
            return " or ".join(line.partition(" ")[0] for line in builders)
