"""Nix's verbs: the exact command lines, and what is made of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from orchestrator.core import process
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.host import Connect, Host
from orchestrator.core.nix_settings import NixSettings
from orchestrator.core.process import CommandResult
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.nix import closure
from orchestrator.nix import verbs as nix
from orchestrator.nix.flake import Copied, Flake
from orchestrator.nix.verbs import by_hand

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620-25.05")
DRV = DrvPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system-p620-25.05.drv")
FEATURES = ("--extra-experimental-features", "nix-command flakes")
LOG = ("--log-format", "internal-json", "-v")


class Recorder:
    """In place of Nix: notes each command line, and gives the answers in turn."""

    def __init__(self) -> None:
        self.argvs: list[tuple[str, ...]] = []
        self.options: list[dict[str, Any]] = []
        self.answers: list[CommandResult | StepError] = []

    async def __call__(self, argv: Sequence[str], **options: Any) -> CommandResult:
        """Stand in for ``process.run``."""
        self.argvs.append(tuple(argv))
        self.options.append(options)
        answer = self.answers.pop(0) if self.answers else CommandResult(0, b"", b"")
        if isinstance(answer, StepError):
            raise answer
        return answer

    def says(self, out: object = "", err: str = "", rc: int = 0) -> None:
        """Give the next answer."""
        self.answers.append(CommandResult(rc, f"{out}\n".encode(), err.encode()))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Put the recorder where processes are started."""
    made = Recorder()
    monkeypatch.setattr(process, "run", made)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    return made


def do(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a verb."""
    return asyncio.run(work)


def test_evaluate(recorder: Recorder) -> None:
    """The derivation, never from the evaluation cache; what it builds; nothing is built."""
    recorder.says(DRV)
    recorder.says(OUT)
    flake = Flake.at("/fleet #1", "/fleet #1", (("nixpkgs", "path:/n"),))
    assert do(nix.evaluate(flake, "p620", deadline=9)) == Evaluated(DRV, OUT)
    assert recorder.argvs == [
        (
            *("nix", *FEATURES, "path-info", "--derivation", "--no-eval-cache"),
            *("--no-write-lock-file", "--override-input", "nixpkgs", "path:/n"),
            '.#nixosConfigurations."p620".config.system.build.toplevel',
        ),
        ("nix-store", "--query", "--outputs", DRV.path),
    ]
    assert recorder.options[0]["cwd"] == "/fleet #1"
    assert recorder.options[0]["deadline"] == 9


def test_a_failed_evaluation_says_why(recorder: Recorder) -> None:
    """The innermost cause, the command by hand, what Nix said in readable lines."""
    recorder.says(err='@nix {"action":"msg","level":0,"msg":"error: no such host"}', rc=1)
    with pytest.raises(StepError) as caught:
        do(nix.evaluate(Flake.at("github:o/r", "/fleet"), "p620", deadline=9))
    assert caught.value.message == "evaluation failed: no such host"
    assert caught.value.command == (
        "cd /fleet && nix path-info --derivation --no-eval-cache --no-write-lock-file "
        "'github:o/r#nixosConfigurations.\"p620\".config.system.build.toplevel'"
    )
    assert caught.value.stderr == "error: no such host"


@pytest.mark.parametrize(
    ("err", "rc"),
    [
        ("", -9),
        ("", 137),
        ("error: out of memory", 1),
        ("GC Warning: Failed to expand heap by 2097152 KiB\nCan't start up: not enough memory", 1),
        ("GC Warning: Out of Memory! Heap size: 75 MiB. Returning NULL!", -6),
        ("terminate called after throwing an instance of 'std::bad_alloc'", -6),
        ("error: unable to fork: Cannot allocate memory", 1),
    ],
)
def test_memory_that_is_short_is_told_apart(recorder: Recorder, err: str, rc: int) -> None:
    """A host whose evaluation ran out of memory, in any program's words, is tried again."""
    recorder.says(err=err, rc=rc)
    with pytest.raises(nix.OutOfMemoryError, match="evaluation failed: "):
        do(nix.evaluate(Flake.at("/f", "/f"), "p620", deadline=9))


@pytest.mark.parametrize(
    ("err", "rc"),
    [
        ("error: attribute 'memory' missing", 1),
        ("error: builder for 'x.drv' failed;\n> my test says: error: out of memory, maybe", 1),
        ("GC Warning: Failed to expand heap by 8192 KiB\nerror: syntax error", 1),
        ("", -15),
    ],
)
def test_other_failures_are_not_tried_again(recorder: Recorder, err: str, rc: int) -> None:
    """An error that speaks of memory, a warning of a heap that could not grow, a TERM."""
    recorder.says(err=err, rc=rc)
    with pytest.raises(StepError) as caught:
        do(nix.evaluate(Flake.at("/f", "/f"), "p620", deadline=9))
    assert not isinstance(caught.value, nix.OutOfMemoryError)


def test_a_silent_failure_says_how_it_ended(recorder: Recorder) -> None:
    """Where Nix gives no cause, its end is told."""
    recorder.says(rc=-9)
    with pytest.raises(StepError, match="copy failed: it was killed by SIGKILL"):
        do(nix.copy(OUT, to="s", deadline=9))


def test_build_on(recorder: Recorder) -> None:
    """What is built elsewhere is evaluated here and built in the other store."""
    do(nix.build_on("unix:///s", Evaluated(DRV, OUT), deadline=9))
    there = ("--eval-store", "auto", "--store", "unix:///s", "--no-link")
    assert recorder.argvs == [("nix", *FEATURES, "build", *LOG, *there, f"{DRV}^*")]


def test_copy(recorder: Recorder) -> None:
    """To the host's store, without asking for signatures; one line is said for each path."""
    do(nix.copy(OUT, to="unix:///s", deadline=9))
    (argv,) = recorder.argvs
    plain = ("--log-format", "raw", "-v")
    assert argv[:8] == ("nix", *FEATURES, "copy", *plain, "--no-check-sigs")
    assert argv[-3:] == ("--to", "unix:///s", OUT.path)


def test_a_heap_for_evaluations_is_none_for_talking_to_a_host(recorder: Recorder) -> None:
    """A person's heap does not stop a copy, or a build on a host, whose memory is limited."""
    do(nix.copy(OUT, to="unix:///s", deadline=9))
    do(nix.build_on("unix:///s", Evaluated(DRV, OUT), deadline=9))
    heaps = [options["env"]["GC_INITIAL_HEAP_SIZE"] for options in recorder.options]
    assert heaps == [None, None]


def test_requisites(recorder: Recorder) -> None:
    """The requisites of a path are one store path for each line."""
    recorder.says(f"{OUT}\n{DRV}")
    assert do(nix.requisites(OUT)) == (OUT, OutPath(DRV.path))
    assert recorder.argvs == [("nix-store", "--query", "--requisites", OUT.path)]


def test_substituters(recorder: Recorder) -> None:
    """Substituters are read by the newer verb of Nix, and by the older where it has no other."""
    recorder.says("https://a https://b")
    assert do(closure.substituters()) == ("https://a", "https://b")
    recorder.says(rc=1, err="error: 'config' is not a recognised command")
    recorder.says("https://c")
    assert do(closure.substituters()) == ("https://c",)
    assert [argv[3:] for argv in recorder.argvs] == [
        ("config", "show", "substituters"),
        ("config", "show", "substituters"),
        ("show-config", "substituters"),
    ]


def test_a_cache_answers_or_not(recorder: Recorder) -> None:
    """An error and a deadline both mean that it does not."""
    recorder.says()
    recorder.says(rc=1)
    recorder.answers.append(StepError("nix did not end within 20 s"))
    assert [do(closure.answers("https://c")) for _ in range(3)] == [True, False, False]
    assert recorder.argvs[0] == ("nix", *FEATURES, "store", "ping", "--store", "https://c")


def test_parse(recorder: Recorder) -> None:
    """A file that parses has no error; its name is never an option."""
    recorder.says()
    recorder.says(rc=1, err="error: syntax error, unexpected end of file")
    assert do(nix.parse("-x.nix")) is None
    assert do(nix.parse("-x.nix")) == "syntax error, unexpected end of file"
    assert recorder.argvs[0] == ("nix-instantiate", "--parse", "--", "-x.nix")


def test_update(recorder: Recorder) -> None:
    """All inputs, or those named, of the flake in its own folder."""
    recorder.says(err="• Updated input 'nixpkgs'")
    assert do(nix.update(Flake.at("/f", "/f"), ("nixpkgs",))) == "• Updated input 'nixpkgs'"
    assert recorder.argvs == [("nix", *FEATURES, "flake", "update", "nixpkgs", "--flake", ".")]
    assert recorder.options[0]["cwd"] == "/f"


@pytest.mark.parametrize(
    "attr",
    ["", 'a"b', "a${x}", "a;b", "a b", "a#b", 'x".config', "$x", "a\n", "a\\", "a/b", "ä", "a'"],
)
def test_an_attribute_cannot_leave_its_quotes(attr: str) -> None:
    """What Nix could read as anything but one name is refused."""
    with pytest.raises(UsageError, match="is no attribute of nixosConfigurations"):
        Flake.at("/f", "/f").toplevel(attr)


@pytest.mark.parametrize("attr", ["p620", "a.b", "a_b", "-x", "dex5550"])
def test_an_attribute_is_quoted(attr: str) -> None:
    """A dot is part of the name and no path of attributes."""
    assert Flake.at("/f", "/f").toplevel(attr) == (
        f'.#nixosConfigurations."{attr}".config.system.build.toplevel'
    )


def test_a_path_is_never_spliced_into_a_url() -> None:
    """A folder is where Nix is started, whatever its name; a URL is taken as it is."""
    assert Flake.at("/a?b#c", "/x") == Flake(".", "/a?b#c")
    assert Flake.at("github:o/r", "/x") == Flake("github:o/r", "/x")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("nix (Nix) 2.18.1", (2, 18, 1)),
        ("nix (Nix) 2.18", (2, 18)),
        ("nix (Nix) 2.26.3", (2, 26, 3)),
        ("nix (Nix) 2.25.0pre20240807_cfe66dbe", (2, 25, 0)),
        ("nix (Determinate Nix 3.1.0) 2.26.3", (2, 26, 3)),
        ("nix (Lix, like Nix) 2.91.1", (2, 91, 1)),
    ],
)
def test_a_version_that_will_do(recorder: Recorder, said: str, expected: tuple[int, ...]) -> None:
    """Every maker's way to say it is understood."""
    recorder.says(said)
    assert do(nix.version()) == expected


@pytest.mark.parametrize(
    "said", ["nix (Nix) 2.8.1", "nix (Nix) 2.17.9", "nix (Determinate Nix 3.1) 2.3", "nix", ""]
)
def test_a_version_that_will_not_do(recorder: Recorder, said: str) -> None:
    """An older one, or none, is refused and the installer named; versions are no fractions."""
    recorder.says(said)
    with pytest.raises(UsageError) as caught:
        do(nix.version())
    assert caught.value.hint == "install Nix 2.18 or newer: https://nixos.org/download"


def test_no_nix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Nix, the error names the installer of Nix."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="no `nix` on the PATH") as caught:
        do(nix.version())
    assert caught.value.hint is not None
    assert "nixos.org/download" in caught.value.hint


def test_by_hand() -> None:
    """A person's command has no machine's options, and is quoted for a shell."""
    argv = ("nix", *FEATURES, "build", *LOG, "--out-link", "/a b", f"{DRV}^*")
    assert by_hand(argv, None) == f"nix build --out-link '/a b' '{DRV}^*'"
    assert by_hand(("nix", "flake"), "/a b") == "cd '/a b' && nix flake"


def test_a_copy_is_told_of_as_the_fleet(recorder: Recorder) -> None:
    """Whatever Nix says of it, and the command by hand; no lock file is written into it."""
    copied = Copied("/tmp/copy", "/fleet", ".")
    flake = Flake("git+file:///tmp/copy?dir=sub", "/fleet/sub", copied=copied, env={"A": "b"})
    recorder.says(err="error: at /tmp/copy/sub/flake.nix", rc=1)
    with pytest.raises(StepError) as caught:
        do(nix.evaluate(flake, "p620", deadline=9))
    assert caught.value.message == "evaluation failed: at /fleet/sub/flake.nix"
    assert caught.value.command == (
        "cd /fleet/sub && nix path-info --derivation --no-eval-cache --no-write-lock-file "
        "'.#nixosConfigurations.\"p620\".config.system.build.toplevel'"
    )
    assert recorder.argvs[0][-1].startswith("git+file:///tmp/copy?dir=sub#nixosConfigurations")


def test_only_what_is_elsewhere_may_come_from_the_evaluation_cache() -> None:
    """Files that are here may move while Nix reads them."""
    for reference in ("github:o/r", "git+https://h/r", "git+ssh://h/r", "https://h/r.tar.gz"):
        assert Flake(reference, "/").is_remote
    for reference in (".", "git+file:///r", "path:/r", "/r", "nixpkgs", "file:///r.tar"):
        assert not Flake(reference, "/").is_remote


HOST = Host("web1", "web1", Connect("web1"))


def test_what_the_inventory_says_to_nix_is_words_of_its_own() -> None:
    """Impurity, the flake's settings, options and inputs: none is spliced into another."""
    settings = NixSettings(
        impure=True,
        accept_flake_config=True,
        override_inputs=(("nixpkgs", "path:/a b"), ("other", "github:o/r")),
        options=(("cores", "2; reboot"),),
    )
    flake = Flake(".", "/f", (("nixpkgs", "path:/lab"),)).of(replace(HOST, nix=settings))
    assert flake.evaluating == (
        *("--no-eval-cache", "--no-write-lock-file", "--impure"),
        *("--option", "accept-flake-config", "true"),
        *("--option", "cores", "2; reboot"),
        # The lab's own goes first.
        *("--override-input", "nixpkgs", "path:/lab", "--override-input", "other", "github:o/r"),
    )
    assert settings.building == ("--option", "cores", "2; reboot")


def test_the_evaluation_cache_does_not_know_of_options() -> None:
    """What Nix kept of an evaluation with other options is no answer."""
    cached = Flake("github:o/r", "/f", eval_cache=True)
    assert "--no-eval-cache" not in cached.evaluating
    options = NixSettings(options=(("allow-import-from-derivation", "false"),))
    assert "--no-eval-cache" in replace(cached, settings=options).evaluating


def test_hosts_of_two_flakes_are_told_apart() -> None:
    """One attribute in two flakes is two configurations; the fleet's own have their old name."""
    fleet = Flake(".", "/f/nix")
    assert fleet.of(HOST).key("web1") == "web1"
    assert fleet.of(replace(HOST, flake="/f/nix")) == fleet
    other = fleet.of(replace(HOST, flake="/f/two"))
    assert (other.where, other.key("web1")) == ((".", "/f/two"), "../two#web1")
    remote = fleet.of(replace(HOST, flake="github:o/r"))
    assert (remote.where, remote.key("web1")) == (("github:o/r", "/f/nix"), "github:o/r#web1")
