"""What ``ssh -G`` says of a host: nobody else reads ``ssh_config``."""

from __future__ import annotations

import asyncio
import functools
import os
import pwd
import shlex
import string
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect
from orchestrator.core.machine import home
from orchestrator.core.process import run
from orchestrator.ssh.config import ConfigShape, config_shape
from orchestrator.ssh.settings import SshSettings, moment

_DEADLINE = 30.0
_BAD_MODE = "Bad owner or permissions on "
_MEANINGLESS = frozenset({"host", "include"})

Words = Mapping[str, tuple[str, ...]]


class SshAnswer(Struct, frozen=True, eq=False):
    """One answer of ssh's; hosts of which the files say the same have the very same.

    Attributes:
        words: Each option in lower case, and its values; none where the files say nothing.
        own: What ssh says without any file.
        shared: Whether it may be another host's, too.
    """

    words: Words = field(default_factory=dict)
    own: Words = field(default_factory=dict)
    shared: bool = False

    def one(self, word: str) -> str:
        """The value of an option; nothing where it has none."""
        value = self.words.get(word, ("",))[0]
        return "" if value.lower() == "none" else value

    def changed(self, word: str) -> tuple[str, ...] | None:
        """The values that files give an option; ``None`` where ssh's own hold."""
        found = self.words.get(word)
        return found if found != self.own.get(word) else None


class Said(Struct, frozen=True):
    """How a host is reached.

    Attributes:
        target: What was asked about.
        answer: All that ssh says.
        host: The name or address to connect to.
        user: Whom to log in as.
        port: Where it listens.
        jump: The jump hosts before it, as ``ProxyJump`` has them; empty: there are none.
        command: ``ProxyCommand``, as ssh has it, its tokens not expanded; empty: there is none.
    """

    target: Connect
    answer: SshAnswer
    host: str
    user: str
    port: int
    jump: str
    command: str


_ANSWERS: dict[Hashable, asyncio.Task[SshAnswer]] = {}


def forget() -> None:
    """Ask anew: for tests, which change files while a process runs."""
    _ANSWERS.clear()
    config_shape.cache_clear()


async def said_of(target: Connect, settings: SshSettings) -> Said:
    """Ask ssh how a host is reached.

    Raises:
        StepError: ``ssh`` cannot tell, or would not obey the files.
    """
    shape = config_shape(tuple(settings.config_files))
    _check_modes(settings, shape)
    if shape.words is not None and shape.words <= _MEANINGLESS:
        return _said(target, SshAnswer(shared=True), lowered(target.address))
    key = shape.key(target.address)
    if key is None:
        answer = await _ask(target, settings, shared=False)
        return _said(target, answer, answer.one("hostname"))
    named = shape.names(target.address)
    asked = (settings, key, target.jump, target.address if named else None)
    answer = await _once(asked, lambda: _ask_plainly(target, settings))
    return _said(target, answer, answer.one("hostname") if named else lowered(target.address))


_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def lowered(name: str) -> str:
    """A name in lower case, as OpenSSH has it: A to Z. Python makes a K of the sign for Kelvin."""
    return name.translate(_LOWER)


@functools.cache
def _me() -> pwd.struct_passwd | None:
    """This user; ``None`` where the password database has none, as in a container."""
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None


def _login(target: Connect) -> str:
    """Whom to log in as where nobody says so: whom one is here, as ``ssh`` does.

    Raises:
        StepError: That is nobody with a name.
    """
    if (me := _me()) is not None:
        return me.pw_name
    raise StepError(
        f"nothing says whom to log in as at {target.address}, and this user (uid {os.getuid()}) "
        "has no name",
        hint="`connect: {user: …}` in the inventory, or a line in /etc/passwd for this user",
    )


def _said(target: Connect, answer: SshAnswer, host: str) -> Said:
    """Put together what the inventory and ssh say: the inventory goes first, as options would."""
    jump = target.jump if target.jump is not None else answer.one("proxyjump")
    try:
        port = target.port or int(answer.one("port") or 22)
    except ValueError as error:
        raise _not_understood(target, error) from error
    return Said(
        target=target,
        answer=answer,
        host=host,
        user=target.user or answer.one("user") or _login(target),
        port=port,
        jump="" if jump == "none" else jump,
        command="" if target.jump is not None else answer.one("proxycommand"),
    )


async def _ask_plainly(target: Connect, settings: SshSettings) -> SshAnswer:
    # Which user and port is said of each host by itself.
    return await _ask(Connect(target.address, jump=target.jump), settings, shared=True)


async def _once(asked: Hashable, ask: Callable[[], Coroutine[None, None, SshAnswer]]) -> SshAnswer:
    """Ask, unless it was asked before; a question that came to nothing is asked again."""
    if asked not in _ANSWERS or _ANSWERS[asked].cancelled():
        _ANSWERS[asked] = asyncio.ensure_future(ask())
    task = _ANSWERS[asked]
    try:
        return await asyncio.shield(task)
    except BaseException:
        if task.done():
            _ANSWERS.pop(asked, None)
        raise


async def _ask(target: Connect, settings: SshSettings, *, shared: bool) -> SshAnswer:
    files, stdin = _files(settings)
    argv = (
        *files,
        *(("-p", str(target.port)) if target.port else ()),
        *(("-l", target.user) if target.user else ()),
        *(("-J", target.jump) if target.jump else ()),
    )
    words, own = await asyncio.gather(_answer(argv, target, stdin), own_words())
    if not words.get("hostname"):
        raise _not_understood(target, KeyError("hostname"))
    return SshAnswer(words, own, shared)


async def own_words() -> Words:
    """What ssh says without any file; asked once."""

    async def asking() -> SshAnswer:
        return SshAnswer(await _answer(("-F", "none"), Connect("host")))

    return (await _once("own", asking)).words


_NOT_IN_ALL = ("GSSAPIKeyExchange", "GSSAPITrustDns", "ForkAfterAuthentication")
"""Options of Debian's ssh and others', by which a host would not prove itself by its key alone; and
one of newer ones, by which ssh would end before Nix's command does."""


async def nix_environment(settings: SshSettings | None) -> dict[str, str]:
    """What a Nix that starts an ssh of its own is given: only options that the ssh at hand knows.

    ``IgnoreUnknown`` does not help: of it, too, the first counts, and the person's would not.
    """
    if settings is None:
        return {}
    try:
        known = await own_words()
    except StepError:
        known = {}  # there is no ssh that could be asked, nor one that Nix could run
    patched = (f"-o{word}=no" for word in _NOT_IN_ALL if word.lower() in known)
    return {"NIX_SSHOPTS": " ".join((settings.nix_options, *patched))}


async def _answer(argv: Sequence[str], target: Connect, stdin: bytes = b"") -> Words:
    asked = ("ssh", *argv, "-o", "RemoteCommand=none", "-G", "--", target.address)
    # As a command, as ours are: ForkAfterAuthentication makes no sense to ssh without one.
    done = await run((*asked, "true"), deadline=_DEADLINE, stdin=stdin)
    if done.rc != 0:
        if _BAD_MODE in done.err:
            raise _bad_mode(done.err.partition(_BAD_MODE)[2].split("\n")[0].strip())
        raise StepError(
            f"ssh cannot say what ssh_config means for {target.address}: {done.err}",
            hint="a host is reached as ssh reaches it: correct the line, or what it needs, until "
            "ssh understands its files"
            if _me() is not None
            else "ssh runs for nobody who has no line in /etc/passwd: add one for this user, or go "
            "without ssh_config, with `connect: {user: …}` in the inventory",
            command=shlex.join(asked),
        )
    return _words(done.stdout.decode(errors="surrogateescape"))


def _words(text: str) -> Words:
    found: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        word, _, rest = line.partition(" ")
        found[word.lower()] = (*found.get(word.lower(), ()), rest)
    return found


def _not_understood(target: Connect, error: Exception) -> StepError:
    return StepError(f"what `ssh -G` says of {target.address} is not understood: {error}")


def _files(settings: SshSettings) -> tuple[tuple[str, ...], bytes]:
    """How ssh is given the files, and what it reads on standard input."""
    if settings.config is not None:
        return ("-F", settings.config), b""
    if (me := _me()) is not None and home() == Path(me.pw_dir):
        return (), b""
    # ssh finds a home by the user, and everybody else by $HOME.
    lines = "".join(f'Include "{file}"\n' for file in settings.config_files)
    return ("-F", "/dev/stdin"), lines.encode()


def _check_modes(settings: SshSettings, shape: ConfigShape) -> None:
    """Refuse what others may write, as ssh does: it decides where we go and whom we trust."""
    if settings.config is None:
        _check_mode_of(tuple(shape.personal), moment())


@functools.lru_cache(maxsize=16)
def _check_mode_of(files: tuple[Path, ...], _moment: int) -> None:
    for file in files:
        try:
            found = file.stat()
        except OSError:
            continue  # whoever reads it says so
        if found.st_uid not in (0, os.getuid()) or found.st_mode & 0o022:
            raise _bad_mode(str(file))


def _bad_mode(file: str) -> StepError:
    return StepError(
        f"others than you may write {file}, and ssh_config decides where we go and whom we trust",
        hint="ssh refuses it, too; see what it says, then make it yours alone",
        command=f"chmod go-w {shlex.quote(file)}  # chown it as well where it is another's",
    )
