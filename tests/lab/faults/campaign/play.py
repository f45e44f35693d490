"""One round: a deployment, what strikes it, and what the oracle says of all that came of it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.values import replace
from tests.lab.faults.campaign import oracle
from tests.lab.faults.campaign.catalogue import Fault
from tests.lab.faults.campaign.content import Content
from tests.lab.faults.campaign.oracle import Facts, Said
from tests.lab.faults.campaign.outside import Eyes, Look
from tests.lab.faults.campaign.plan import Round, column_of
from tests.lab.faults.campaign.recorder import Recorder
from tests.lab.faults.campaign.strikes import FLOODING, Hit, NotPlayedError, Stage, endured
from tests.lab.faults.deployment import Deployment
from tests.lab.faults.ground import HOST, INVENTORY, Ground, prepare, until
from tests.lab.faults.phases import PHASES, Phase, held_check

ADDRESS = "10.77.0.2"
MOST = 600 << 20
"""Bytes that a deployer and all that it starts may take: in peace it takes a fifth of that."""

_KILL_AT = 1200 << 20
# Many labs share the machine.
_LONGER = {"verify: 8s": "verify: 15s", "health: 16s": "health: 24s"}
_ENDS = 420.0
"""A host that does not tell is asked for as long as its guard may need to roll it back."""
_RESTS = 60.0
_UNLOCKS = 25.0
_LOGIN = 40.0
"""sshd keeps an address out for 20 s whose login had begun when the host hung for two minutes."""
_SETTLES = 6.0
_KEPT = ("/var/lib/orchestrator/door", "/var/lib/orchestrator/room")
"""What nobody could remove while their folder was read-only; the next attempt there does."""


@dataclass
class Played:
    """What came of a round.

    Attributes:
        seed: Of the campaign.
        number: Of the round.
        fault: The fault's name.
        aimed: The column that was aimed at.
        phase: The phase that was held for it.
        column: The column in which it struck, by what the deployer had said by then.
        way: How it was brought.
        second: What struck meanwhile.
        why_not: Why it was not played; it counts for nothing then.
        end: ``new``, ``old``, ``untouched``, or ``neither``.
        outcome: What each deployer reported.
        wrong: All that was not as it must be.
        peak: Bytes that the deployer took at most.
        seconds: How long it took.
        traces: What helps to understand what is wrong.
    """

    seed: int
    number: int
    fault: str
    aimed: str
    phase: str
    column: str = ""
    way: str = ""
    second: str = ""
    why_not: str = ""
    end: str = ""
    outcome: str = ""
    wrong: list[str] = field(default_factory=list)
    peak: int = 0
    seconds: float = 0.0
    traces: dict[str, Any] = field(default_factory=dict)


def stage_on(ground: Ground) -> Stage:
    """The host that faults are brought to, and its eyes."""
    host = ground.lab.host(HOST)
    eyes = Eyes(lambda: host.leader, host.cgroup.path)
    return Stage(ground, eyes, Content(ground.bench.root))


def begin(folder: Path) -> Ground:
    """Make a fleet of one host and its lab; checks have longer there than in the suite."""
    inventory = INVENTORY
    for short, long in _LONGER.items():
        assert short in inventory, short
        inventory = inventory.replace(short, long)
    ground = prepare(folder, inventory)
    ground.inside.sh(FLOODING)
    return ground


def renew(ground: Ground) -> None:
    """Have a newly installed host that can flood, deployed once."""
    ground.renew()
    ground.inside.sh(FLOODING)


def play(ground: Ground, each: Round) -> Played:
    """Play a round, and judge it; the host is whole afterwards only where nothing was wrong."""
    began = time.monotonic()
    played = Played(each.seed, each.number, each.fault.name, each.column, each.phase)
    try:
        _Game(stage_on(ground), each, played).play()
    except NotPlayedError as error:
        played.why_not = str(error)
    except LostError as error:
        played.wrong.append(str(error))
    played.seconds = time.monotonic() - began
    return played


class LostError(Exception):
    """The host is in a state in which nothing more can be asked of it."""


class _Game:
    """A round under way."""

    def __init__(self, stage: Stage, each: Round, played: Played) -> None:
        self._stage, self._each, self._played = stage, each, played
        self._ground, self._eyes = stage.ground, stage.eyes
        self._phase: Phase = PHASES[each.phase]
        self._chance = each.chance
        self._hits: list[Hit] = []
        self._blind, self._kills = each.fault.blinds or each.fault.kills, each.fault.kills
        self._ways: list[str] = []

    def play(self) -> None:
        """Play it."""
        with endured("before the round"):
            self._prepare()
        try:
            with Recorder(self._eyes, _KILL_AT) as recorder:
                self._deploy(recorder)
                said = self._said(recorder)
                rested = self._come_to_rest()
            self._judge(said, recorder, rested)
        finally:
            self._end_all()

    def _prepare(self) -> None:
        """Have something to deploy, and see what there is before."""
        self._stage.content.body = self._phase.body
        self._stage.content.renew()
        self._ground.bench.write("checks/test_it.py", held_check(self._ground))
        self._names = self._eyes.names()
        before = self._eyes.look()
        assert before is not None, "the host is off"
        assert len(before.systems) == 1, f"the host is not whole: {before}"
        self._before = before
        self._phase.arm(self._ground)

    def _deploy(self, recorder: Recorder) -> None:
        """Deploy, strike, and wait until all deployers have ended."""
        self._began = time.monotonic()
        early = self._each.fault.early and self._each.column == "before"
        bench = self._ground.bench
        if self._each.fault.name == "repository-edited":
            bench = replace(bench, more={"ORCHESTRATOR_LEARN": "always"})
        if early:
            self._played.column = "before"
            self._hit(self._each.fault)
        first = Deployment(self._ground, bench=bench)
        self._stage.deployments.append(first)
        recorder.watch(first.pid)
        try:
            if not early:
                with endured("on the way to its phase"):
                    self._phase.enter(self._stage.scene)
                self._strike(first)
            self._phase.release(self._stage.scene)
            self._let_pass(first)
            self._wait()
        finally:
            for deployment in self._stage.deployments:
                deployment.end()
            self._phase.release(self._stage.scene)

    def _strike(self, first: Deployment) -> None:
        if not self._each.held:
            self._phase.release(self._stage.scene)
        time.sleep(self._each.delay)
        if first.over:
            raise NotPlayedError("the deployment had ended by then")
        self._played.column = column_of(_phase_of(first))
        with endured("striking"):
            self._hit(self._each.fault)

    def _hit(self, fault: Fault) -> None:
        hit = fault.strike(self._stage, self._chance)
        self._hits.append(hit)
        self._ways.append(f"{fault.name}: {hit.words}")

    def _let_pass(self, first: Deployment) -> None:
        """Bring the second fault, and end what passes soon."""
        threads = [threading.Thread(target=self._hits[-1].end)] if self._passes(0) else []
        for thread in threads:
            thread.start()
        second = self._each.second
        if second is not None:
            time.sleep(self._each.second_delay)
            if not first.over:
                self._strike_again()
        for thread in threads:
            thread.join()
        if self._passes(1):
            self._hits[1].end()

    def _passes(self, which: int) -> bool:
        return len(self._hits) > which and self._hits[which].until == "soon"

    def _strike_again(self) -> None:
        second = self._each.second
        assert second is not None
        try:
            with endured("the second"):
                self._hit(second)
        except NotPlayedError as error:
            self._played.second = f"not {second.name}: {error}"
            return
        self._played.second = second.name
        self._blind |= second.blinds or second.kills
        self._kills |= second.kills

    def _wait(self) -> None:
        for deployment in self._stage.deployments:
            try:
                deployment.wait(_ENDS)
            except AssertionError as error:
                self._played.wrong.append(str(error)[:500])
                deployment.end()

    def _said(self, recorder: Recorder) -> list[Said]:
        return [
            Said(one.exit_code, one.report, one.result, recorder.around(one.reported))
            for one in self._stage.deployments
        ]

    def _come_to_rest(self) -> tuple[Look, str | None]:
        """End what lasts as long as the deployer; wait for the host; then end all else; log in."""
        self._end("deployer")
        self._ground.thaw()
        if not self._ground.lab.host(HOST).running:
            self._ground.fault("start")
        try:
            until(self._rests_now, _RESTS, "the host is to come to rest by itself")
        except AssertionError as error:
            self._played.wrong.append(str(error))
        rested = self._eyes.look()
        self._end("rest")
        self._ground.mend()
        if rested is None:
            raise LostError("the host is off, and nobody switched it off")
        return rested, self._login()

    def _rests_now(self) -> bool:
        if not self._eyes.rests():
            return False
        time.sleep(0.3)
        return self._eyes.rests()

    def _login(self) -> str | None:
        end = time.monotonic() + _LOGIN
        keeper, keys = self._ground.lab.network.require(), self._ground.lab.places.root
        while error := self._eyes.login(ADDRESS, keeper, keys):
            if time.monotonic() > end:
                return error
            time.sleep(0.3)
        return None

    def _end(self, when: str) -> None:
        for hit in self._hits:
            if hit.until == when:
                hit.end()
        self._hits = [hit for hit in self._hits if hit.until != when]

    def _end_all(self) -> None:
        """However it went: nothing that was brought stays."""
        for when in ("deployer", "rest"):
            self._end(when)
        self._ground.mend()
        for deployment in self._stage.deployments:
            deployment.end_learners()

    def _judge(self, said: list[Said], recorder: Recorder, rested: tuple[Look, str | None]) -> None:
        after, login = rested
        facts = self._facts(recorder, after)
        played, peak = self._played, recorder.peak
        played.way = "; ".join(self._ways)
        played.end, played.peak = facts.end, peak
        played.outcome = ", ".join(one.outcome or "killed" for one in said)
        played.wrong += oracle.of_host(facts)
        for one in said:
            played.wrong += oracle.of_report(one, facts)
        played.wrong += oracle.of_deployers(said, facts)
        played.wrong += oracle.of_memory(peak, MOST)
        played.wrong += [f"nobody can log in: {login}"] if login else []
        played.wrong += self._next()
        if played.wrong:
            played.traces = self._traces(said, facts)

    def _facts(self, recorder: Recorder, after: Look) -> Facts:
        return Facts(
            before=self._before,
            after=after,
            history=tuple(look for _, look in recorder.seen),
            content=recorder.content,
            wanted=self._stage.content.since(self._began),
            alone=len(self._stage.deployments) == 1,
            blind=self._blind,
            kills=self._kills,
        )

    def _next(self) -> list[str]:
        """Deploy as anybody would next, once the lock of who is gone has ended."""
        end = time.monotonic() + _UNLOCKS
        while True:
            try:
                done = self._ground.bench.deploy(HOST)
            except subprocess.TimeoutExpired:
                return ["the next run does not end"]
            report = _last_report(done.out)
            host = None if report is None else report["hosts"].get(HOST)
            locked = done.rc == 4 and host is not None and "locked by" in str(host.get("message"))
            if not locked or time.monotonic() > end:
                break
            time.sleep(0.3)
        after = self._eyes.look()
        if after is None:
            return ["after the next run the host is off"]
        said = Said(done.rc, report, host, (after,))
        last = self._stage.content.now
        debris = self._debris()
        return oracle.of_next(said, self._before, after, last, debris)

    def _debris(self) -> list[str]:
        """What is left, once what ends by itself has ended."""
        end = time.monotonic() + _SETTLES
        while (left := self._eyes.debris(self._names)) and time.monotonic() < end:
            time.sleep(0.2)
        kept = _KEPT if self._each.fault.name == "state-folder-hidden" else ()
        return [what for what in left if not what.endswith(kept)]

    def _traces(self, said: list[Said], facts: Facts) -> dict[str, Any]:
        """For whoever looks for the cause."""
        return {
            "before": repr(self._before),
            "history": [repr(look) for look in facts.history[-12:]],
            "content": facts.content,
            "said": [one.host for one in said],
            "events": [d.events[-30:] for d in self._stage.deployments],
            "words": [d.words[-20:] for d in self._stage.deployments],
            "journal": self._journal(),
        }

    def _journal(self) -> str:
        log = "cat /run/orchestrator/attempt /run/orchestrator/log | tail -c 4000; "
        try:
            return self._ground.inside.sh(
                log + "journalctl -q -o short-precise -n 60 -t orchestrator-guard 2>&1 || :"
            )
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            return str(error)


def _phase_of(deployment: Deployment) -> str:
    """The last phase that a deployer has said."""
    phases = [event["phase"] for event in list(deployment.events) if event["type"] == "phase"]
    return str(phases[-1]) if phases else "evaluate"


def _last_report(out: str) -> dict[str, Any] | None:
    """The report in a deployer's output, where it gave one."""
    for line in reversed(out.split("\n")):
        if line.startswith("{"):
            event: dict[str, Any] = json.loads(line)
            return event if event["type"] == "report" else None
    return None
