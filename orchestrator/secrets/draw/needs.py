"""What a host needs before it can open its secrets: what is so, then what to do, in order."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from orchestrator.render.output import Colour, Output
from orchestrator.render.text import clean
from orchestrator.secrets.model.need import Lack, Need, Needs

_ORDER = tuple(Lack)


def draw_needs(needs: Needs, rules: str, output: Output) -> None:
    """Draw each secret that a host cannot open, and the steps after which it can.

    Args:
        needs: What it needs.
        rules: The ``secrets.nix``, as a person would name it.
        output: Standard error.
    """
    count = len(needs.secrets)
    said = f"{count} secret{'s are' if count != 1 else ' is'} meant for it"
    if count:
        said += f"; its key opens {needs.opened}"
    output.line(f"{needs.host}: {said}")
    if needs.elsewhere:
        output.line(f"it opens {len(needs.elsewhere)} with other keys (age.identityPaths)")
    for one in needs.secrets:
        if one.lacks:
            output.line(f"  {output.paint(clean(one.path), Colour.STRONG)} {_facts(one)}")
    for line in _steps(needs, rules):
        output.line(clean(line))


def draw_unevaluated(host: str, why: str, output: Output) -> None:
    """Say that it is not known what a host's configuration uses, and why."""
    note, hint = (output.paint(word, Colour.WARN) for word in ("note:", "hint:"))
    output.line(f"{note} which secrets {host}'s configuration uses is not known: {clean(why)}")
    output.line(f"{hint} in full, and once it evaluates: orchestrator secrets check {host}")


def _facts(one: Need) -> str:
    # That it is not encrypted to a key that its rule does not name needs no saying.
    told = one.lacks - {Lack.REKEY} if Lack.KEY in one.lacks else one.lacks
    return "; ".join(lack.value for lack in _ORDER if lack in told)


def _steps(needs: Needs, rules: str) -> Iterator[str]:
    if needs.key is None:
        if len(needs.secrets) > needs.opened:
            yield "no key of its is known that age could encrypt to: it needs one of Ed25519 or RSA"
        return
    key = f"{needs.key} root@{needs.host}"
    if unnamed := needs.lacking(Lack.KEY):
        yield f"to publicKeys in {rules} add its key, for {_names(unnamed)}:"
        yield f'  "{key}"'
        for old in needs.old:
            yield f'  in place of this one, if it was its key before: "{old}"'
    if bare := sorted({*needs.lacking(Lack.RULE)} - {*needs.lacking(Lack.FILE)}):
        yield f"to {rules} add a rule with its key and yours, for {_names(bare)}:"
        yield f'  publicKeys = [ "{key}" … ];'
    if wrong := sorted({*needs.lacking(Lack.REKEY), *bare}):
        yield f"then: orchestrator secrets rekey {_words(wrong)}"
    yield from _creations(needs, key)


def _creations(needs: Needs, key: str) -> Iterator[str]:
    ruled = {*needs.lacking(Lack.FILE)} - {*needs.lacking(Lack.RULE)}
    for path in needs.lacking(Lack.FILE):
        who = "" if path in ruled else f" --recipient {shlex.quote(key)} --recipient YOURS"
        yield f"make it: orchestrator secrets create {_words([path])}{who}"


def _names(paths: Sequence[str]) -> str:
    return ", ".join(paths)


def _words(paths: Sequence[str]) -> str:
    return shlex.join(f"./{path}" if path.startswith("-") else path for path in paths)
