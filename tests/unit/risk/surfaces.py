"""A configuration whose every part is known, and which opens nothing."""

from __future__ import annotations

from orchestrator.risk.model import (
    Account,
    Firewall,
    Kernel,
    Login,
    Opened,
    Password,
    Service,
    Ssh,
    Store,
    Surface,
    Unit,
)

PLAIN = Surface(
    firewall=Firewall(enable=True, trusted=("lo",)),
    services={},
    accounts={"root": Account(person=False, password=Password.NONE)},
    groups={},
    ssh=Ssh(enable=False),
    sudo=(),
    wrappers={},
    store=Store(trusted=("root",)),
    login=Login(),
    kernel=Kernel(locks_modules=True, protects_image=True, confines=True),
    containers={},
)
"""It has no terms at all."""

BARE = Service(Unit.WHOLE)
OPEN = Firewall(enable=True, everybody=Opened(tcp=(8096,)))
