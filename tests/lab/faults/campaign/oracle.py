"""The oracle: what must hold of a round, as demands on plain values, each of which can fail.

It believes what was read from outside and nothing else. Of the deployer it takes what a person
would: its exit code, and the report as ``docs/output.md`` describes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.faults.campaign.outside import Look

Json = dict[str, Any]
Marks = tuple[str | None, ...]

# What an outcome claims of the host, and the exit codes that it may come with.
CLAIMS = {
    "deployed": ("new", {0}),
    "unchanged": ("new", {0}),
    "rolled_back": ("old", {1}),
    "unreached": ("old", {1}),
    "deferred": ("untouched", {3}),
    "skipped": ("untouched", {1, 130}),
    "failed": ("as said", {1, 4}),
}
# Words for what a deployer could not find out.
_UNSURE = re.compile(r"\bnot known\b|\bnot yet\b|\bunknown\b|\bunreachable\b|\bnot reached\b")
_NAMED = re.compile(r"\b([0-9a-z]{5})…-nixos-system")


@dataclass(frozen=True, slots=True)
class Said:
    """What a deployer said, and when it ended.

    Attributes:
        exit_code: Its exit code; negative where a signal ended it.
        report: The report, where it gave one.
        host: What that says of the host.
        looks: What the host was when it said so, and shortly before; the last is the latest.
    """

    exit_code: int
    report: Json | None
    host: Json | None
    looks: Sequence[Look]

    @property
    def outcome(self) -> str | None:
        """The host's outcome."""
        return None if self.host is None else str(self.host["outcome"])


@dataclass(frozen=True, slots=True)
class Facts:
    """A round as it was seen from outside.

    Attributes:
        before: The host before it.
        after: The host once it has come to rest.
        history: Everything that it was in between.
        content: What each system that was seen was built from.
        wanted: Contents that the repository had while a deployer was at work.
        blind: Whether a fault may have kept the deployer from knowing how the host ended.
        kills: Whether a fault ends the deployer.
        alone: Whether there was one deployer only.
    """

    before: Look
    after: Look
    history: Sequence[Look]
    content: dict[str, Marks]
    wanted: frozenset[Marks]
    blind: bool = False
    kills: bool = False
    alone: bool = True

    def is_new(self, system: str | None) -> bool:
        """Whether a system is one that was to be deployed."""
        return system is not None and self.content.get(system) in self.wanted

    @property
    def was_touched(self) -> bool:
        """Whether a guard was at work, or the host ever was anything else."""
        return any(
            look.guarded or look.systems - {None} - self.before.systems for look in self.history
        )

    @property
    def end(self) -> str:
        """``new``, ``old`` or ``untouched``; ``neither`` where it is none of them."""
        if self.after.systems == self.before.systems:
            return "old" if self.was_touched else "untouched"
        whole = len(self.after.systems) == 1
        return "new" if whole and self.is_new(self.after.running) else "neither"


def of_host(facts: Facts) -> list[str]:
    """What is wrong with a host that has come to rest, or was so on the way there."""
    now, wrong = facts.after, []
    if len(now.systems) != 1:
        wrong.append(f"it runs {now.running}, has {now.profile}, boots {now.boot_default}")
    seen = {system for look in (*facts.history, now) for system in look.systems - {None}}
    third = sorted(s for s in seen - facts.before.systems if s and not facts.is_new(s))
    wrong += [f"a third system: {system}: {facts.content.get(system)}" for system in third]
    if gone := facts.before.generations - now.generations:
        wrong.append(f"generations are gone: {sorted(gone)}")
    built = facts.content.get(now.running or "")
    if len(now.systems) == 1 and built != now.marks:
        wrong.append(f"it runs a system of {built}, and what was activated is of {now.marks}")
    return wrong


def of_report(said: Said, facts: Facts) -> list[str]:
    """What a deployer said that is not so."""
    if said.report is None or said.host is None:
        ended = facts.kills and said.exit_code < 0
        return [] if ended else [f"it gave no report, and ended with {said.exit_code}"]
    wrong = []
    if said.report.get("exit_code") != said.exit_code:
        wrong.append(f"it reports {said.report.get('exit_code')}, and ended with {said.exit_code}")
    outcome = str(said.outcome)
    if outcome not in CLAIMS:
        return [*wrong, f"nobody knows what the outcome {outcome} claims"]
    claim, exits = CLAIMS[outcome]
    if said.exit_code not in exits:
        wrong.append(f"{outcome}, and exit {said.exit_code}")
    return wrong + _of_claim(claim, said, facts)


def _of_claim(claim: str, said: Said, facts: Facts) -> list[str]:
    text = str((said.host and said.host.get("host_state")) or "")
    if said.outcome == "unreached" and not facts.blind:
        return [f"it says that nobody gets in, and nothing keeps one out: {text}"]
    if claim != "new" and _UNSURE.search(text) and not facts.blind:
        return [f"it does not know, and could: {text}"]
    if claim == "new":
        return _of_new(said, facts)
    if claim == "old":
        return _of_old(said, facts)
    if claim == "untouched" or (claim == "as said" and not text):
        touched = facts.alone and facts.was_touched
        return ["it tells of no change, and the host was changed"] if touched else []
    return _of_words(text, said, facts)


def _of_old(said: Said, facts: Facts) -> list[str]:
    """A host that was rolled back is wholly what it was; where two deploy, what it was then."""
    if facts.alone and facts.after.systems == facts.before.systems:
        return []
    if not facts.alone and any(len(look.systems) == 1 for look in said.looks):
        return []
    return [f"it says {said.outcome}, and the host is at {facts.after.systems}"]


def _of_new(said: Said, facts: Facts) -> list[str]:
    """A host is deployed where it was at the named system at that moment, wholly, and stays so."""
    assert said.host is not None
    path, wrong = said.host.get("out_path"), []
    if not facts.is_new(path):
        wrong.append(f"it names {path}, of {facts.content.get(str(path))}: nobody wanted that")
    if all(look.systems != {path} for look in said.looks):
        then = [look.systems for look in said.looks]
        wrong.append(f"it says {said.outcome} with {path}, and the host was at {then}")
    if not all(facts.is_new(system) for system in facts.after.systems):
        wrong.append(f"it says {said.outcome}, and the host ends at {facts.after.systems}")
    return wrong


def _of_words(text: str, said: Said, facts: Facts) -> list[str]:
    """The system that a failure's words name first is where the host is, then or in the end."""
    if _UNSURE.search(text):
        return []
    named = _NAMED.findall(text)
    looks = (facts.after, *said.looks)
    here = {(path or "")[len("/nix/store/") :][:5] for look in looks for path in look.systems}
    if not named:
        return [f"it does not say which system runs: {text}"]
    return [] if named[0] in here else [f"it says '{text}', and the host is at {here}"]


def of_deployers(both: Sequence[Said], facts: Facts) -> list[str]:
    """Where two deployed and one says so alone, the host ends at that one's system."""
    winners = [one for one in both if one.exit_code == 0 and one.host is not None]
    paths = {str(one.host["out_path"]) for one in winners if one.host is not None}
    if len(both) < 2 or not paths or facts.after.systems <= paths:
        return []
    return [f"{sorted(paths)} was reported, and the host ends at {facts.after.systems}"]


def of_next(said: Said, before: Look, after: Look, last: Marks, debris: Iterable[str]) -> list[str]:
    """What is wrong with the next plain deployment, or with what it leaves.

    Args:
        said: By that deployment.
        before: The host before the round.
        after: The host after that deployment.
        last: What the repository's content is.
        debris: What is left on the host.
    """
    wrong = []
    if said.exit_code != 0 or said.host is None:
        wrong.append(f"the next run ended with {said.exit_code}: {said.host}")
    elif after.systems != {said.host["out_path"]}:
        wrong.append(f"the next run says {said.host['out_path']}, and it is {after.systems}")
    if after.marks != last:
        wrong.append(f"after the next run it has {after.marks}, and the content is {last}")
    if gone := before.generations - after.generations:
        wrong.append(f"after the next run generations are gone: {sorted(gone)}")
    return wrong + [f"left behind: {what}" for what in debris]


def of_memory(peak: int, limit: int) -> list[str]:
    """A deployer stays within bounds, whatever a host says to it."""
    took = f"the deployer took {peak >> 20} MiB, more than {limit >> 20}"
    return [took] if peak > limit else []
