"""Boot loaders' folders of every kind, as their rules let them be, read by the host's own reader.

The oracles follow the loaders' own rules, written from their manuals and not from the reader: what
the reader says to boot is what they boot, and where it must not say anything it does not.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from loader_trees import Entry, Menu, Read, Tree, extlinux_conf, grub_cfg, grubenv, system

RUNS = settings(max_examples=60, deadline=None)


# --- systemd-boot: loader.conf(5), UAPI.1 ("Sorting", "Boot counting") ---


@dataclass(frozen=True, slots=True)
class Conf:
    """An entry's file.

    Attributes:
        stem: Its name, without counters and ending.
        counters: Tries left and done; ``None`` where it counts none.
        number: Of its system.
        sort_key: Empty where there is none.
        version: As its line has it.
    """

    stem: str
    counters: tuple[int, int | None] | None
    number: int
    sort_key: str
    version: str

    @property
    def name(self) -> str:
        """The file's name."""
        if self.counters is None:
            return f"{self.stem}.conf"
        left, done = self.counters
        return f"{self.stem}+{left}{'' if done is None else f'-{done}'}.conf"

    def id(self, *, stripped: bool) -> str:
        """What patterns are held against."""
        return (f"{self.stem}.conf" if stripped else self.name).lower()

    @property
    def bad(self) -> bool:
        """Whether it failed as often as it may."""
        return self.counters is not None and self.counters[0] == 0


def newer(a: str, b: str) -> int:
    """Compare versions as UAPI.10 has it: above 0 where ``a`` is the newer one.

    Written by the specification's numbered steps.
    """
    while True:
        a, b = (re.sub(r"^[^0-9A-Za-z~.^-]+", "", each) for each in (a, b))
        for step, mark in enumerate("~-^."):
            if step == 1 and not (a and b):
                return bool(a) - bool(b)
            first, second = a.startswith(mark), b.startswith(mark)
            if first != second:
                return -1 if first else 1
            if first:
                a, b = a[1:], b[1:]
        if a[:1].isdigit() or b[:1].isdigit():
            found = [re.match(r"[0-9]*", each) for each in (a, b)]
            one, two = (each[0] if each else "" for each in found)
            if bool(one) != bool(two):
                return 1 if one else -1
            if int(one) != int(two):
                return 1 if int(one) > int(two) else -1
        else:
            found = [re.match(r"[A-Za-z]*", each) for each in (a, b)]
            one, two = (each[0] if each else "" for each in found)
            if one != two:
                return 1 if one > two else -1
        a, b = a[len(one) :], b[len(two) :]


def menu_order(entries: Sequence[Conf], *, stripped: bool) -> list[Conf]:
    """The menu from its top to its bottom."""

    def compare(a: Conf, b: Conf) -> int:
        if a.bad != b.bad:
            return a.bad - b.bad
        if bool(a.sort_key) != bool(b.sort_key):
            return bool(b.sort_key) - bool(a.sort_key)
        if a.sort_key and a.sort_key != b.sort_key:
            return -1 if a.sort_key < b.sort_key else 1
        if a.sort_key and (by := newer(a.version, b.version)):
            return -by
        if by := newer(a.id(stripped=stripped), b.id(stripped=stripped)):
            return -by
        if a.counters is None or b.counters is None:
            return 0
        (left, done), (other, others) = a.counters, b.counters
        return (other - left) or ((done or 0) - (others or 0))

    return sorted(entries, key=functools.cmp_to_key(compare))


Settings = Mapping[str, str]
"""``default`` and ``preferred`` of loader.conf, and the EFI variables by their last word."""


def selected(entries: Sequence[Conf], said: Settings, version: int, order: int = 0) -> Conf | None:
    """The entry that a version of systemd-boot starts, once nothing is set for one boot."""
    stripped = version >= 259
    menu = menu_order(entries, stripped=stripped)

    def first(pattern: str | None, *, bad: bool = True) -> Conf | None:
        for each in menu:
            name = each.id(stripped=stripped)
            if pattern and fnmatch.fnmatchcase(name, pattern.lower()) and (bad or not each.bad):
                return each
        return None

    saved = said.get("LastBooted")
    efi = said.get("Default")
    ways: list[Callable[[], Conf | None]] = []
    if version >= 260:
        ways.append(lambda: first(said.get("Preferred"), bad=False))

    def chosen() -> Conf | None:
        return first(saved if efi == "@saved" else efi)

    def preferred() -> Conf | None:
        return first(said.get("preferred"), bad=False)

    if version >= 260:
        ways += [preferred, chosen] if order == 0 else [chosen, preferred]
    else:
        ways.append(chosen)
    usual = said.get("default")
    ways.append(lambda: first(saved if usual == "@saved" else usual))
    ways.append(lambda: menu[0] if menu else None)
    return next((found for way in ways if (found := way()) is not None), None)


stems = st.builds(
    lambda number, more: f"nixos-generation-{number}{more}",
    st.integers(1, 12),
    st.sampled_from(["", "", "-specialisation-gpu", "-specialisation-z2"]),
) | st.sampled_from([f"nixos-{letter * 64}" for letter in "a1f"] + ["Other"])
confs = st.builds(
    Conf,
    stem=stems,
    counters=st.none() | st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)),
    number=st.integers(0, 4),
    sort_key=st.sampled_from(["nixos", "nixos", "nixos", "", "a", "zz"]),
    version=st.sampled_from(
        ["Generation 9 25.05", "Generation 10 25.05", "Generation 10 25.05~pre1", "", "9-1", "9.1"]
    ),
)
folders = st.lists(confs, min_size=1, max_size=6, unique_by=lambda conf: conf.name.lower())


@st.composite
def machines(draw: st.DrawFn) -> tuple[list[Conf], dict[str, str], int | None]:
    """Entries, what chooses among them, and the version that is installed."""
    entries = draw(folders)
    ids = [conf.id(stripped=True) for conf in entries]
    patterns = st.sampled_from(
        [
            *ids,
            *(conf.name for conf in entries),
            "nixos-*",
            "*gpu*",
            "nixos-generation-?.conf",
            "no",
        ]
    )
    said = {"default": draw(patterns | st.just("@saved"))}
    for name in ("preferred", "Preferred", "Default", "LastBooted"):
        if draw(st.integers(0, 3)) == 0:
            said[name] = draw(patterns)
    return entries, said, draw(st.sampled_from([None, 255, 257, 259, 260, 262]))


def lay_out(tree: Tree, entries: Sequence[Conf], said: Settings, version: int | None) -> None:
    """Write the folder."""
    for conf in entries:
        tree.entry(
            conf.name,
            system(conf.number),
            sort_key=conf.sort_key or None,
            version=conf.version or "0",
        )
    lines = [f"{key} {said[key]}\n" for key in ("preferred", "default") if key in said]
    tree.write("boot/loader/loader.conf", "timeout 5\n" + "".join(lines))
    for name in ("Preferred", "Default", "LastBooted"):
        if name in said:
            tree.variable(f"LoaderEntry{name}", said[name])
    if version is not None:
        tree.loader(f"{version}.1")


@RUNS
@given(machines())
def test_systemd_boot_is_never_said_to_boot_what_it_does_not(
    machine: tuple[list[Conf], dict[str, str], int | None],
) -> None:
    """Every version that may be installed boots what is said; where all agree, it is said."""
    entries, said, version = machine
    entries = [conf if conf.version else _with_version(conf) for conf in entries]
    versions = [255, 259, 260] if version is None else [version]
    boots = {
        system(found.number)
        for each in versions
        for order in (0, 1)
        if (found := selected(entries, said, each, order)) is not None
    }
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder) / "host")
        lay_out(tree, entries, said, version)
        read = tree.read()
    if read.boots:
        assert {read.boots} == boots, (read, entries, said, version)
    elif len(boots) == 1 and version in (255, 257, 260, 262):
        # Nothing but two files of one id, of which the order of a folder decides, may hide it; or
        # more asterisks than are followed.
        many = sum(str(word).count("*") for word in said.values()) > 4
        hidden = "is a pattern that cannot be followed" if many else "is there twice"
        assert hidden in read.note, (read, boots, entries, said, version)


def _with_version(conf: Conf) -> Conf:
    return Conf(conf.stem, conf.counters, conf.number, conf.sort_key, "0")


# --- GRUB: its manual, "default", "Environment block", "Submenus" ---

titles = st.sampled_from(
    ["NixOS - Default", "NixOS - (gpu - 2025-06-01)", "Windows", "a>b", "10 of them", "x", ""]
)
ids = st.sampled_from(["", "", "", "gpu", "x", "7up"])
leaves = st.builds(Entry, titles, st.none() | st.integers(0, 4).map(system), ids)
menus = st.recursive(
    st.lists(leaves, min_size=1, max_size=4).map(lambda found: Menu("", tuple(found))),
    lambda inner: st.builds(
        lambda found, sub, at: Menu("", (*found[:at], sub, *found[at:])),
        st.lists(leaves, min_size=0, max_size=3),
        st.builds(lambda title, menu, name: Menu(title, menu.entries, name), titles, inner, ids),
        st.integers(0, 3),
    ),
    max_leaves=4,
)


def grub_boots(menu: Menu, spec: str | None) -> Entry:
    """The entry that GRUB starts; what means nothing, or is not set, is the first one."""
    if spec is None:
        spec = "0"
    head, rest = _first_part(spec)
    number = re.match(r"\s*([0-9]+)", spec)
    chosen = menu.entries[0]
    if number:
        if int(number[1]) < len(menu.entries):
            chosen = menu.entries[int(number[1])]
    else:
        for entry in menu.entries:
            if head in (entry.title, entry.id or entry.title):
                chosen = entry
                break
    return chosen if isinstance(chosen, Entry) else grub_boots(chosen, rest)


def _first_part(spec: str) -> tuple[str, str | None]:
    """A path in the menu: ``>`` parts, ``>>`` stands for itself."""
    parts = re.split(r"(?<!>)>(?!>)", spec, maxsplit=1)
    return parts[0].replace(">>", ">"), parts[1] if len(parts) > 1 else None


specs = st.lists(
    st.sampled_from(["0", "1", "2", "9", "gpu", "Windows", "a>>b", "NixOS - Default", "x", "no"]),
    min_size=1,
    max_size=3,
).map(">".join)


@RUNS
@given(menus, specs | st.just("saved"), st.none() | specs, st.none() | specs)
def test_grub_is_never_said_to_boot_what_it_does_not(
    menu: Menu, default: str, saved: str | None, once: str | None
) -> None:
    """By index, title or id, into submenus, saved or for one boot."""
    usual = (saved or "") if default == "saved" else default
    lasting = grub_boots(menu, usual)
    following = grub_boots(menu, once) if once else lasting
    values = {"saved_entry": saved, "next_entry": once}
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder) / "host")
        quoted = default if default == "saved" else f'"{default}"'
        tree.write("boot/grub/grub.cfg", grub_cfg(quoted, menu))
        if saved is not None or once is not None:
            given_ = {name: value for name, value in values.items() if value is not None}
            tree.write("boot/grub/grubenv", grubenv(**given_))
        read = tree.read()
    if lasting.boots is None or following.boots is None:
        assert (read.boots, read.source) == ("", ""), (read, lasting, following)
    else:
        assert (read.boots, read.source) == (lasting.boots, "grub"), (read, lasting)
        assert (following.boots in read.note) is (following.boots != lasting.boots), read


# --- extlinux: U-Boot's README.pxe ---

labels = st.lists(
    st.tuples(
        st.sampled_from(["nixos-default", "nixos-1-default", "nixos-2-gpu", "nixos-default2"]),
        st.integers(0, 4).map(system),
    ),
    min_size=1,
    max_size=5,
)


@RUNS
@given(labels, st.sampled_from(["nixos-default", "nixos-1-default", "nixos-2-gpu", "nixos"]))
def test_extlinux_is_never_said_to_boot_what_it_does_not(
    listed: list[tuple[str, str]], default: str
) -> None:
    """The first label of the name, or nothing is said."""
    boots = next((path for label, path in listed if label == default), None)
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder) / "host")
        tree.write("boot/extlinux/extlinux.conf", extlinux_conf(default, listed))
        read = tree.read()
    if boots is None:
        assert (read.boots, read.source) == ("", "")
    else:
        assert read == Read(boots, "extlinux")
