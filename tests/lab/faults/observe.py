"""What a host is, by its own files: read here and not by the code that is under test."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.faults.inside import Inside

# One answer a line: a word, and what there is.
_LOOK = r"""
say() { printf '%s %s\n' "$1" "$2"; }
say running "$(readlink -f /run/current-system)"
say profile "$(readlink -f /nix/var/nix/profiles/system)"
entry=$(sed -n 's/^default[[:space:]]*//p' /boot/loader/loader.conf | tail -n 1)
init=$(sed -n 's/.*init=\([^[:space:]]*\).*/\1/p' "/boot/loader/entries/$entry")
say boot_default "${init%/init}"
for link in /nix/var/nix/profiles/system-*-link; do
  if [ -e "$link/init" ]; then say generation "${link##*/} $(readlink "$link")"; fi
done
systemctl list-units --plain --no-legend 'orchestrator-*' | while read -r unit _; do
  say unit "$unit"
done
for attempt in /run/orchestrator/attempt /var/lib/orchestrator/attempt; do
  if [ -e "$attempt" ]; then
    token=$(sed -n 's/^token=//p' "$attempt")
    say attempt "$(sed -n 's/^state=//p' "$attempt")"
    say token "$token"
    break
  fi
done
for left in "/run/orchestrator/asked-${token-}" "/nix/var/nix/gcroots/orchestrator/${token-}"-* \
  /etc/systemd/system.control/orchestrator-* \
  /etc/systemd/system.control/*.wants/orchestrator-*; do
  if [ -e "$left" ] || [ -L "$left" ]; then say left "$left"; fi
done
for stray in /nix/var/nix/gcroots/orchestrator/* /var/lib/orchestrator/room; do
  if [ -e "$stray" ] || [ -L "$stray" ]; then say stray "$stray"; fi
done
if [ -e /run/orchestrator/lock ]; then
  until=$(sed -n 's/^expires=//p' /run/orchestrator/lock)
  if [ "${until:-0}" -gt "$(cut -d . -f 1 /proc/uptime)" ] 2>/dev/null; then say lock live; fi
fi
"""
ENDED = frozenset({"done", "returned", "stuck"})
"""States of an attempt in which nothing goes on any more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A host at one moment.

    Attributes:
        running: The store path of the system that runs.
        profile: That of the system profile.
        boot_default: That which the boot loader's files name.
        generations: Those of the profile whose files are there, by their links' names.
        left: What is there of an attempt beside what it says: units, roots, files.
        stray: Roots, and room for going back, be they of the attempt or of a start that a power cut
            ended before it became one.
        locked: Whether a lock counts, be its deployer alive or not.
        attempt: The state of the guard's last attempt, where there was one.
        token: That attempt's own name.
    """

    running: str
    profile: str
    boot_default: str
    generations: frozenset[str]
    left: tuple[str, ...]
    stray: tuple[str, ...]
    locked: bool
    attempt: str | None
    token: str | None

    @property
    def systems(self) -> set[str]:
        """What it runs, what its profile is, what it would boot: one, where all is well."""
        return {self.running, self.profile, self.boot_default}

    @property
    def quiet(self) -> bool:
        """Whether nothing of a deployment goes on there."""
        return not self.left and self.attempt in (None, *ENDED)


def look(inside: Inside) -> Seen:
    """Look at a host."""
    words = [line.partition(" ")[::2] for line in inside.sh(_LOOK).splitlines()]

    def all_of(key: str) -> list[str]:
        return [value for word, value in words if word == key]

    return Seen(
        running=all_of("running")[0],
        profile=all_of("profile")[0],
        boot_default=all_of("boot_default")[0],
        generations=frozenset(all_of("generation")),
        left=(*all_of("unit"), *all_of("left")),
        stray=tuple(all_of("stray")),
        locked=bool(all_of("lock")),
        attempt=next(iter(all_of("attempt")), None),
        token=next(iter(all_of("token")), None),
    )
