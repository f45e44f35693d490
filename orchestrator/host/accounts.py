"""Who may log in once a host has its next system: its sshd's own word, its accounts, its keys."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core.checks import Account, Login, NextLogin
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.store import OutPath
from orchestrator.core.units import parse_json, split_lines, whole_number
from orchestrator.core.values import replace
from orchestrator.host.scripts import script

SPEC = r"""
# What NixOS's update-users-groups.pl makes the accounts of.
spec=$(grep -ao '/nix/store/[^ "]*-users-groups\.json' "$new/activate" 2>/dev/null | head -n 1)
[ ! -f "$spec" ] || printf 'spec=%s\n' "$(head -c 2000000 "$spec" | tr -d '\n')"
"""

# Answer with `key=value` lines, to `end=`.
# $1 the next system  $2 the user  $3 the key, in base64  $4 the home that the user will have
ACCOUNTS = (
    r"""
new=$1 user=$2 key=$3
now=$(getent passwd "$user" | cut -d : -f 3,6,7)
groups=$(id -Gn -- "$user" 2>/dev/null)
printf 'groups=%s\n' "$groups"
# What a directory (LDAP) has, and not /etc, is not NixOS's to change: nsswitch.conf(5).
printf '%s\n' "$groups" | tr ' ' '\n' |
  awk -F : '!asked { here[$1]; next } !($1 in here) { print "kept=" $1 }' /etc/group asked=1 -
[ -z "$now" ] || cut -d : -f 1 /etc/passwd | grep -Fxq -e "$user" || echo 'directory=yes'
printf 'clock=%s %s\n' "$(date +%Y%m%d%H%M%S)" "$(date -u +%Y%m%d%H%M%S)"
case $(getent shadow "$user" | cut -d : -f 2) in '!'*) echo locked=yes ;; esac
home=${4:-$(printf '%s' "$now" | cut -d : -f 2)}
printf 'now=%s\n' "$now"
# What NixOS puts into /etc is in the store, or a copy that it keeps a list of.
managed() {
  case $(readlink -f "$1") in /nix/store/*) return ;; esac
  grep -Fxq -e "${1#/etc/}" /etc/.clean 2>/dev/null
}
# Where a file will be once the next system is active: in that; or where it is, if it is nobody's.
after() {
  case $1 in
  /etc/*)
    if [ -f "$new$1" ]; then
      printf '%s\n' "$new$1"
      return
    fi
    managed "$1" && return
    ;;
  esac
  printf '%s\n' "$1"
}
# An sshd_config as it will be, with the files that it will include.
config_after() {
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
    *\"*) printf '%s\n' "$line" ;;
    [Ii][Nn][Cc][Ll][Uu][Dd][Ee][[:space:]]*)
      for pattern in ${line#*[[:space:]]}; do
        case $pattern in /*) ;; *) pattern=/etc/ssh/$pattern ;; esac
        set +f
        for file in $pattern "$new"$pattern; do printf '%s\n' "${file#"$new"}"; done | sort -u |
          while IFS= read -r file; do
            file=$(after "$file")
            [ ! -f "$file" ] || printf 'Include %s\n' "$file"
          done
        set -f
      done
      ;;
    *) printf '%s\n' "$line" ;;
    esac
  done < "$1"
}
# The rules of a file of sudoers as it will be, and of those that it includes. $2 how deep it stands
sudoers() {
  at=$(after "$1")
  [ -f "$at" ] && [ "$2" -lt 5 ] || return 0
  head -c 200000 "$at" | sed -e ':a' -e '/\\$/{N;s/\\\n//;ba' -e '}' | while IFS= read -r line; do
    case $line in
    [@#]includedir[[:space:]]*)
      folder=${line#*[[:space:]]}
      set +f
      for file in "$folder"/* "$new$folder"/*; do printf '%s\n' "${file#"$new"}"; done | sort -u |
        while IFS= read -r file; do
          case ${file##*/} in *.* | *'~' | '*') ;; *) sudoers "$file" $(($2 + 1)) ;; esac
        done
      set -f
      ;;
    [@#]include[[:space:]]*) sudoers "${line#*[[:space:]]}" $(($2 + 1)) ;;
    '' | '#' | '#'[!0-9]*) ;;
    *) printf 'rule=%s\n' "$line" ;;
    esac
  done
}
# Whom sshd judges: the connection is told to the session, and sudo does not tell it on.
pid=$$ from=
while [ "${pid:-0}" -gt 1 ] && [ -z "$from" ]; do
  from=$(tr '\000' '\n' < "/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p' | head -n 1)
  pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
done 2>/dev/null
set -f
# A directory may have rules of sudo's, too.
if [ -d "$new/etc" ] && ! grep -Eqs '^sudoers:.*(sss|ldap)' "$(after /etc/nsswitch.conf)"; then
  echo 'sudoers=asked'
  sudoers /etc/sudoers 0
fi
set -- $from
printf 'peer=%s\n' "${1-}"
peer=${1:-127.0.0.1} server=${3:-127.0.0.1} port=${4:-22}
case $server in *:*) any='[::]' at="[$server]" ;; *) any=0.0.0.0 at=$server ;; esac
# Whether an sshd listens where this connection came to. $1 what it says
listens() { grep -iFxq -e "listenaddress $any:$port" -e "listenaddress $at:$port" "$1"; }
sshd=$new/sw/bin/sshd
[ -x "$sshd" ] || sshd=$(command -v sshd || echo /usr/sbin/sshd)
config=$(after /etc/ssh/sshd_config)
patterns=
if [ ! -d "$new/etc" ]; then
  :
elif [ -z "$config" ]; then
  echo 'sshd=gone'
elif [ -f "$config" ]; then
  # No other value can get into what is removed at the end.
  scratch=$(mktemp -d) || exit
  readonly scratch
  trap 'rm -rf "$scratch"' EXIT
  config_after "$config" > "$scratch/config"
  if timeout 10 "$sshd" -T -f "$scratch/config" \
    -C "user=$user,host=$peer,addr=$peer,laddr=$server,lport=$port" \
    > "$scratch/said" 2> "$scratch/error"; then
    echo 'sshd=asked'
    # Of a keyword's letters some versions of OpenSSH write capitals, as its manual does.
    sed 'h;s/ .*//;y/ABCDEFGHIJKLMNOPQRSTUVWXYZ/abcdefghijklmnopqrstuvwxyz/;G;s/\n[^ ]*//' \
      "$scratch/said" > "$scratch/says"
    says='pubkeyauthentication|permitrootlogin|authorizedkeysfile|authorizedkeyscommand'
    says="$says|trustedusercakeys|allowusers|denyusers|allowgroups|denygroups|usepam"
    sed -nE "s/^($says) /sshd.\1=/p" "$scratch/says"
    patterns=$(sed -n 's/^authorizedkeysfile //p' "$scratch/says")
    # Another one's connection says nothing of this one.
    if [ -n "$from" ] && ! listens "$scratch/says" &&
      timeout 10 "$sshd" -T > "$scratch/now" 2> /dev/null && listens "$scratch/now"; then
      printf 'came=%s\n' "$at:$port"
      sed -n 's/^listenaddress /listens=/p' "$scratch/says"
    fi
  else
    printf 'sshd=%s\n' "$(tail -n 1 "$scratch/error")"
  fi
fi
for pattern in $patterns; do
  case $(printf '%s' "$pattern" | sed 's/%[hu%]//g') in *%*) echo 'unread=yes'; continue ;; esac
  file=$(printf '%s' "$pattern" | sed "s|%u|$user|g; s|%h|$home|g; s|%%|%|g")
  case $file in /*) ;; *) file=$home/$file ;; esac
  printf 'looked=%s\n' "$file"
  then=$(after "$file")
  if [ -f "$then" ] && head -c 1000000 "$then" | grep -v '^[[:space:]]*#' | grep -Fq -e "$key"; then
    printf 'held=%s\n' "$file"
    head -c 1000000 "$then" | grep -v '^[[:space:]]*#' | grep -F -e "$key" | head -n 9 |
      cut -c -4000 | sed 's/^[[:space:]]*/entry=/'
  else
    # Elsewhere the activation may write it, as secrets are below /run.
    case $file in /etc/* | "$home"/*) ;; *) echo 'unread=yes' ;; esac
    # Of a home on another machine (NFS) root may see nothing, and sshd reads as the user.
    for above in "$home" "${file%/*}"; do
      [ ! -d "$above" ] || [ -x "$above" ] || echo 'unread=yes'
    done
    [ ! -f "$then" ] || [ -r "$then" ] || echo 'unread=yes'
  fi
done
"""
    + SPEC
    + r"""if tr ' ' '\n' < /var/lib/nixos/declarative-users 2>/dev/null | grep -Fxq -e "$user"; then
  echo 'declared=yes'
fi
echo end=
"""
)

_SECONDS = 60.0


async def ask_next_login(executor: Executor, out: OutPath, login: Login) -> NextLogin:
    """Ask a host that has its next system whether that will let this login in.

    Args:
        executor: The way to the host.
        out: The next system, which is there.
        login: By whom and with which key the connection was made.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end.
    """
    found = await _ask(executor, out, login, "")
    home = found.then.home if found.then else ""
    if not home or (found.now and home == found.now.home):
        return found
    return await _ask(executor, out, login, home)


async def _ask(executor: Executor, out: OutPath, login: Login, home: str) -> NextLogin:
    argv = script(ACCOUNTS, out.path, login.user, login.key, home)
    done = await executor.run(argv, deadline=_SECONDS)
    lines = split_lines(done.out)
    if "end=" not in lines:
        raise StepError(
            f"the host did not say who may log in to its new system (exit {done.rc})",
            command=executor.repeat(("ls", f"{out.path}/etc/ssh")),
            stderr=done.err,
        )
    return parse_next_login(lines, login.user)


def parse_next_login(lines: Iterable[str], user: str) -> NextLogin:
    """Read what ``ACCOUNTS`` prints; what is not understood of it was not said."""
    said: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition("=")
        said.setdefault(key, []).append(value)
    first = {key: values[0] for key, values in said.items()}
    found = NextLogin(
        sshd=first.get("sshd", ""),
        says={
            key.removeprefix("sshd."): tuple(values)
            for key, values in said.items()
            if key.startswith("sshd.")
        },
        now=_now(first.get("now", "")),
        then=None,
        removed=False,
        looked=tuple(said.get("looked", ())),
        unread="unread" in said,
        held=tuple(said.get("held", ())),
        entries=tuple(said.get("entry", ())),
        locked="locked" in said,
        peer=first.get("peer", ""),
        came=first.get("came", ""),
        listens=tuple(
            where
            for where in said.get("listens", ())
            if whole_number(where.rpartition(":")[2]) is not None
        ),
        clock=tuple(first.get("clock", "").split()),
        rules=tuple(said.get("rule", ())) if "sudoers" in said else None,
    )
    now = frozenset(first.get("groups", "").split())
    spec, declared = first.get("spec", ""), "declared" in said
    found = _with_spec(found, spec, user, declared=declared, here="directory" not in said)
    found = _with_groups(found, spec, user, now, declared)
    if found.groups is None:
        return found
    groups = found.groups | frozenset(said.get("kept", ())) & now
    return replace(found, groups=groups, leaves=now - groups)


def _now(text: str) -> Account | None:
    uid, _, rest = text.partition(":")
    home, _, shell = rest.partition(":")
    return Account(home, shell) if whole_number(uid) is not None and home else None


def _with_spec(found: NextLogin, text: str, user: str, *, declared: bool, here: bool) -> NextLogin:
    """Add what ``users-groups.json`` says: ``mutableUsers``; name, home and shell of ``users``.

    An account that is not ``here``, in ``/etc``, stays whatever it says.
    """
    try:
        spec = parse_json(text)
        mutable = spec["mutableUsers"]
        ours = [one for one in spec["users"] if one["name"] == user]
    except (ValueError, TypeError, KeyError):
        return found
    if not ours:
        gone = here and (declared or mutable is False)
        return replace(found, removed=found.now is not None and gone)
    then = Account(str(ours[0].get("home") or ""), str(ours[0].get("shell") or ""))
    return replace(found, then=then)


def _with_groups(
    found: NextLogin, text: str, user: str, now: frozenset[str], declared: bool
) -> NextLogin:
    """Add what it says of groups: the ``group`` of ``users``, ``members`` of ``groups``.

    As update-users-groups.pl merges them: where accounts may be changed by hand, groups that are
    not declared stay, and so do members of declared ones that were never declared themselves.
    """
    try:
        spec = parse_json(text)
        first = {str(one.get("group") or "") for one in spec["users"] if one["name"] == user}
        members = {str(one["name"]): one.get("members") or [] for one in spec["groups"]}
        inside = {name for name, those in members.items() if user in those}
        mutable = spec["mutableUsers"] is not False
        days = [str(one.get("expires") or "") for one in spec["users"] if one["name"] == user]
    except (ValueError, TypeError, KeyError, AttributeError):
        return found
    kept = {name for name in now if mutable and not (name in members and declared)}
    groups = frozenset((first | inside | kept) - {""})
    return replace(found, groups=groups, leaves=now - groups, expires=(days or [""])[0])
