"""What a recipient is called: a host, a person, else what follows its key, else the key's end."""

from __future__ import annotations

from orchestrator.secrets.model.recipient import Recipient
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.rules import shortened


class Names:
    """The names of all keys that are known.

    Args:
        evidence: Tells whose keys the hosts' and the users' are, and what the rules call others.
    """

    def __init__(self, evidence: Evidence) -> None:
        declared = (one for rule in evidence.rules.rules for one in rule.recipients)
        self._comments: dict[str, str] = {}
        for one in (*evidence.known, *declared):
            if one.comment:
                self._comments.setdefault(one.text, one.comment)
        self._hosts = evidence.hosts

    def hosts(self, one: Recipient) -> tuple[str, ...]:
        """The hosts whose key it is."""
        return self._hosts.get(one.text, ())

    def short(self, one: Recipient) -> str:
        """The name alone, where there is one."""
        return "/".join(self.hosts(one)) or self._comments.get(one.text) or shortened(one.text)

    def full(self, one: Recipient) -> str:
        """The name, and which key it is."""
        name, key = self.short(one), shortened(one.text)
        return key if name == key else f"{name} ({key})"
