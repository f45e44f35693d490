"""What a person is told of a change: packages that matter, units, size; and only what is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.changed import ClosureChange, PackageChange, SystemChange, UnitChanges
from orchestrator.core.store import OutPath
from orchestrator.core.units import bytes_text
from orchestrator.deploy.plan.difference import in_words, package_in_words, summary, units_of

A, B = "a" * 32, "b" * 32
NGINX = PackageChange("nginx", ("1.26",), ("1.28",))


def path(name: str, digest: str = A) -> OutPath:
    """A path in the store."""
    return OutPath(f"/nix/store/{digest}-{name}")


def test_a_result_is_told_in_one_line() -> None:
    """Packages, units, size: the line that the README shows."""
    change = SystemChange(
        ClosureChange((NGINX,), 7, 12_400_000),
        UnitChanges(restarted=("a.service", "b.service", "c.service")),
    )
    assert in_words(change) == "nginx 1.26 → 1.28, 3 units restarted, closure +12 MB"


def test_what_is_not_known_is_not_told() -> None:
    """Without closures no package is said to be the same; without a log no unit."""
    assert in_words(SystemChange()) == ""
    assert in_words(SystemChange(units=UnitChanges())) == ""
    assert in_words(SystemChange(ClosureChange((NGINX,), 0, None))) == "nginx 1.26 → 1.28"
    units = SystemChange(units=UnitChanges(restarted=("a.service",)))
    assert in_words(units) == "1 unit restarted"


def test_a_change_of_no_package_says_so() -> None:
    """Files of /etc changed: the packages are the same, or built from something else."""
    assert in_words(SystemChange(ClosureChange(size=0))) == "same packages"
    assert in_words(SystemChange(ClosureChange(rebuilt=1))) == "1 package rebuilt"
    assert in_words(SystemChange(ClosureChange(rebuilt=9, size=-90))) == (
        "9 packages rebuilt, closure -90 B"
    )


def test_three_packages_are_named_and_the_others_counted() -> None:
    """A sentence stays one; the log and the JSON have them all."""
    many = tuple(PackageChange(f"p{n}", ("1",), ("2",)) for n in range(17))
    said = in_words(SystemChange(ClosureChange(many)))
    assert said == "p0 1 → 2, p1 1 → 2, p2 1 → 2 and 14 more packages"
    assert in_words(SystemChange(ClosureChange(many[:4]))).endswith(" and 1 more package")
    assert "more" not in in_words(SystemChange(ClosureChange(many[:3])))


def test_a_package_that_comes_or_goes_is_told_with_its_version() -> None:
    """A package that is new or is removed is reported with its version."""
    assert package_in_words(PackageChange("hello", (), ("2.12",))) == "hello 2.12 added"
    assert package_in_words(PackageChange("hello", ("2.12",), ())) == "hello 2.12 removed"
    assert package_in_words(PackageChange("py", ("1", "2", "3"), ("4",))) == "py 1 and 2… → 4"
    assert package_in_words(PackageChange("tool", ("",), ("1",))) == "tool … → 1"


def test_what_a_person_chose_goes_first() -> None:
    """Packages that a person chose go first, then new versions, then new and removed ones."""
    gone = [path("zlib-1.2"), path("nginx-1.26"), path("acl-2.0"), path("vim-9.0")]
    new = [path("zlib-1.3"), path("nginx-1.28"), path("acl-2.1"), path("nano-8")]
    direct = [path("nginx-1.28"), path("nano-8"), path("vim-9.0")]
    found = summary(gone, new, direct, None)
    assert [one.package for one in found.packages] == ["nginx", "nano", "vim", "acl", "zlib"]


def test_outputs_of_one_package_are_one() -> None:
    """A path's name has its output's at its end, which is no part of the version."""
    gone = [path(f"glibc-2.40-66{end}") for end in ("", "-bin", "-dev")]
    found = summary(gone, [path("glibc-2.42-1"), path("glibc-2.42-1-lib")], [], None)
    assert found.packages == (PackageChange("glibc", ("2.40-66",), ("2.42-1",)),)


def test_what_nixos_makes_of_a_configuration_is_no_package() -> None:
    """Units, the system itself, files without a version: they change with every deployment."""
    names = ("nixos-system-p620-25.05", "unit-user-1000.service", "initrd-linux-6.6", "etc")
    found = summary([path(name) for name in names], [path(name, B) for name in names], [], 5)
    assert found == ClosureChange((), 0, 5)


def test_a_rebuild_is_counted_and_not_named() -> None:
    """The same version at another path is no news to a person."""
    assert summary([path("bash-5.2")], [path("bash-5.2", B)], [], 0) == ClosureChange((), 1, 0)


def test_units_as_nixos_says_them() -> None:
    """Units that NixOS stops and starts, parted by commas, are read by their names."""
    said = (
        "stopping the following units: nginx.service, old.service, sshd.service\n"
        "NOT restarting the following changed units: display-manager.service\n"
        "activating the configuration...\n"
        "reloading the following units: dbus.service\n"
        "restarting the following units: nix-daemon.service\n"
        "starting the following units: nginx.service, sshd.service\n"
        "the following new units were started: new.service, run-x.mount\n"
    )
    assert units_of(said) == UnitChanges(
        restarted=("nginx.service", "nix-daemon.service", "sshd.service"),
        reloaded=("dbus.service",),
        started=("new.service", "run-x.mount"),
        stopped=("old.service",),
    )


def test_units_as_the_labs_hosts_say_them() -> None:
    """Units in the words of the lab's hosts, parted by spaces, are read by their names."""
    found = units_of("restarting the following units: a.service b.timer\n")
    assert found == UnitChanges(restarted=("a.service", "b.timer"))


def test_a_failed_units_own_words_are_not_read() -> None:
    """The journal of a failed unit, which may say anything, is not read for units."""
    said = (
        "warning: the following units failed: bad.service\n"
        "restarting the following units: forged.service\n"
    )
    assert units_of(said) == UnitChanges()


def test_names_that_no_unit_has_are_not_told() -> None:
    """An escape, a name without a type, one without end: such a line is nobody's."""
    for names in ("\x1b[2J.service", "a.service; rm -rf", "noname", "a" * 400 + ".service"):
        assert units_of(f"restarting the following units: {names}\n") == UnitChanges()


def test_how_many_units_and_what_was_done_with_them() -> None:
    """Units are counted by what was done with them, and the word ``units`` is said once."""
    units = UnitChanges(("a.service",), (), ("b.service", "c.service"), ("d.service",))
    assert in_words(SystemChange(units=units)) == "1 unit restarted, 2 started, 1 stopped"


names = st.text("abcXYZ019+-._?=", min_size=1, max_size=211)
paths = st.lists(
    st.builds(lambda digest, name: path(name, digest), st.sampled_from([A, B]), names), max_size=12
)


@given(paths, paths, paths, st.none() | st.integers(-(10**18), 10**18))
def test_whatever_a_closure_has_the_line_is_short_and_harmless(
    gone: list[OutPath], new: list[OutPath], direct: list[OutPath], size: int | None
) -> None:
    """A host names its paths: a line of words of bounded length comes of them."""
    said = in_words(SystemChange(summary(gone, new, direct, size)))
    assert said
    assert len(said) < 800
    assert said.isprintable()


@given(st.text(max_size=400))
def test_whatever_an_activation_says_only_names_of_units_come_of_it(said: str) -> None:
    """Of whatever a host's activation prints only names of units are taken."""
    units = units_of(f"restarting the following units: {said}\n{said}")
    for name in (*units.restarted, *units.started, *units.stopped, *units.reloaded):
        assert name.isascii()
        assert name.isprintable()
        assert " " not in name


def test_bytes_in_a_few_characters() -> None:
    """Powers of 1000, two figures or three."""
    sizes = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 9_960: "10 kB", 12_400_000: "12 MB"}
    assert {size: bytes_text(size) for size in sizes} == sizes
    assert bytes_text(999_600) == "1.0 MB"
    assert bytes_text(3_200_000_000) == "3.2 GB"
    assert bytes_text(10**18) == "1000000 TB"
