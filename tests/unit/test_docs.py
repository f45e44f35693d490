"""The documentation is held to the code: links, commands, options, recipes, hosts, error texts."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest
import yaml

from orchestrator.cli.commands import RENAMED
from orchestrator.cli.main import orchestrator
from orchestrator.inventory.load import load

ROOT = Path(__file__).parents[2]
HIDDEN = {"node_modules", "__pycache__"}
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in HIDDEN for part in page.relative_to(ROOT).parts)
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
MAX_LINES = 40

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
RECIPE = re.compile(r"^([a-z0-9][a-z0-9-]*)((?: [^:=\n]+)?):(?!=).*\n    @(.+)$", re.MULTILINE)

# Said by Nix, by the kernel, or by the suite's file: not ours to hold.
NOT_OURS = {
    "attribute '",
    "' missing",
    "path '",
    "' does not exist",
    "writing to file",
    "No space left on device",
    "access to URI '",
    "access to absolute path '",
    "' is forbidden in restricted mode",
    "::test_",
}


PARENT = click.Context(orchestrator, **orchestrator.context_settings)


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Each code block's language and text."""
    for match in FENCE.finditer(page.read_text()):
        yield match[2], match[3]


def typed(page: Path, program: str) -> Iterator[str]:
    """Each command line of a program that a reader may copy from a code block."""
    for language, text in blocks(page):
        if language not in {"sh", "console", "bash", ""}:
            continue
        for line in text.splitlines():
            command = re.sub(r"^\s*[$#] ", "", line).strip()
            if command.startswith(f"{program} "):
                yield command


def spans(page: Path) -> Iterator[str]:
    """Each piece of code within a sentence or a table."""
    for match in SPAN.finditer(FENCE.sub("", page.read_text())):
        yield match[1].replace("\\|", "|")


def words(command: str) -> list[str]:
    """A command line's arguments, without comments, brackets and what is left to the reader."""
    argv = shlex.split(command, comments=True)[1:]
    for end in ("|", ">", "&&", ";"):
        argv = argv[: argv.index(end)] if end in argv else argv
    return [word.strip("[]") for word in argv if word.strip("[].…") and word != "..."]


def find(argv: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the words after them."""
    found: click.Command = orchestrator
    while isinstance(found, click.Group) and argv:
        if argv[0].startswith("-"):
            names = {name for option in found.params for name in (*option.opts, "--help")}
            assert argv[0] in names, f"no option {argv[0]}"
            argv = argv[1:]
            continue
        if argv[0].isupper():
            return found, []
        inner = found.get_command(click.Context(found), argv[0])
        assert inner is not None, f"no command {argv[0]!r}"
        found, argv = inner, argv[1:]
    return found, argv


def options(command: click.Command) -> set[str]:
    """Every option that a command takes."""
    return {name for param in command.params for name in param.opts} | {"--help", "-h"}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """A link to a file of the repository, and to a heading in it, resolves."""
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_in_a_code_block_can_be_typed(page: Path) -> None:
    """Commands, options, their values, and the number of arguments are those of the program."""
    for line in typed(page, "orchestrator"):
        command, argv = find(words(line))
        try:
            # Below the real parent: click remembers a command's help option from its first use.
            command.make_context("orchestrator", argv, parent=PARENT)
        except click.exceptions.Exit:
            pass
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.message}")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_in_a_sentence_exists(page: Path) -> None:
    """Within a sentence a command may lack its arguments; its name and options are right."""
    for span in spans(page):
        if span.startswith("orchestrator ") and "COMMAND" not in span:
            command, argv = find(words(span))
            for word in takewhile(lambda word: word != "--", argv):
                if word.startswith("-"):
                    assert word.partition("=")[0] in options(command), span


def all_recipes() -> dict[str, str]:
    """Each recipe of the justfile, and its line."""
    text = (ROOT / "justfile").read_text().replace("[private]\ndefault:", "")
    return {name: body for name, _, body in RECIPE.findall(text)}


def recipes() -> dict[str, tuple[str, ...]]:
    """Each recipe that calls the program, and the words of its call after the program's name."""
    found = {}
    for name, body in all_recipes().items():
        call = body.replace('"{{ orchestrator }}"', "orchestrator").replace('"$@"', "")
        if call.startswith("orchestrator "):
            found[name] = tuple(shlex.split(call)[1:])
    return found


def test_every_recipe_calls_a_command_that_exists() -> None:
    """A recipe is one call of the program, with options that it has."""
    found = recipes()
    assert {"quick-deploy", "ci", "lab-down"} <= found.keys()
    for name, call in found.items():
        command, argv = find(list(call))
        unknown = {word for word in argv if word.startswith("-")} - options(command)
        assert not unknown, f"{name}: {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_recipe_named_exists(page: Path) -> None:
    """What follows ``just`` in the documentation is in the justfile."""
    lines = [*typed(page, "just"), *(span for span in spans(page) if span.startswith("just "))]
    for line in lines:
        assert line.split()[1] in all_recipes(), line


def test_the_readme_has_every_recipe_and_no_other() -> None:
    """The README's table of recipes is the justfile's list."""
    section = (ROOT / "README.md").read_text().partition("## Recipes")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `just")]
    named = {span.removeprefix("just ").split()[0] for row in rows for span in SPAN.findall(row)}
    assert named == recipes().keys()


def test_the_page_of_recipes_says_what_each_calls() -> None:
    """The table's second column is the recipe's line, for every recipe but the other hosts'."""
    rows = re.findall(
        r"^\| `just (\S+)[^`]*` \| `orchestrator ([^`]+)`",
        (ROOT / "docs/recipes.md").read_text(),
        re.MULTILINE,
    )
    said = {name: tuple(w for w in shlex.split(call) if not w.isupper()) for name, call in rows}
    expected = recipes()
    assert said == {name: call for name, call in expected.items() if name in said}
    assert expected.keys() - said.keys() <= set(load(ROOT).fleet.hosts)


def test_the_hosts_of_the_justfile_are_the_inventorys() -> None:
    """There is one list of hosts; recipes, folders and the README's row follow it."""
    hosts = list(load(ROOT).fleet.hosts)
    by_name = [name for name, call in recipes().items() if call == ("deploy", name)]
    assert by_name == hosts
    folders = {path.parent.name for path in ROOT.glob("hosts/*/default.nix")}
    assert folders == set(hosts)
    row = ", ".join(f"`{name}`" for name in hosts).replace("`", "`just ", 1)
    assert row in (ROOT / "README.md").read_text()


FOLDERS = [
    *(file.parent for file in sorted((ROOT / "orchestrator").rglob("__init__.py"))),
    *(
        ROOT / name
        for name in (
            "docs",
            "hosts",
            "secrets",
            "secrets/open-keys",
            "inventory",
            "nix",
            "scripts",
            "templates",
            "tests",
            "tests/bench",
            "tests/fuzz",
            "tests/lab",
            "tests/nix",
            "tests/unit",
            "tests/verify",
        )
    ),
]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_folder_says_what_it_is_for(folder: Path) -> None:
    """A folder opens with a README that is read in a minute."""
    assert (folder / "README.md").is_file()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name == "README.md" and page.parent != ROOT], ids=str
)
def test_a_folders_readme_is_short(page: Path) -> None:
    """The README of each folder has at most 40 lines."""
    assert len(page.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_files_that_a_readme_names_are_there(folder: Path) -> None:
    """A table of files is not left behind by the folder."""
    for span in spans(folder / "README.md"):
        if re.fullmatch(r"[a-z_/.-]+\.py", span):
            assert any((base / span).exists() for base in (folder, *folder.parents)), span


def test_the_index_has_every_page() -> None:
    """A page that the index does not name is not found."""
    index = (ROOT / "docs/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name})" in index} == pages


def messages() -> Iterator[str]:
    """Every text in the code, with ``…`` where a value is put in."""
    for file in (ROOT / "orchestrator").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
    for file in (ROOT / "orchestrator").rglob("*.sh"):
        yield re.sub(r"\$\w+|\$\{[^}]*\}", "…", file.read_text())


def test_every_error_that_troubleshooting_explains_is_one_of_ours() -> None:
    """The first column quotes texts that are in the code."""
    ours = [text.replace("`", "") for text in messages()]
    page = (ROOT / "docs/troubleshooting.md").read_text()
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    for row in rows:
        for quoted in SPAN.findall(row):
            for part in re.split(r"…|: (?=\w)", quoted):
                piece = part.strip(" :")
                if len(piece) > 3 and piece not in NOT_OURS:
                    assert any(piece in text for text in ours), f"{quoted!r}: {piece!r}"


def test_the_documentation_is_looked_at() -> None:
    """The tests above are not green because they find nothing."""
    assert len([line for page in PAGES for line in typed(page, "orchestrator")]) > 30
    assert len([span for page in PAGES for span in spans(page) if "orchestrator " in span]) > 50
    assert len(recipes()) > 25


NAMED_TEST = re.compile(r"`(tests/[\w./]+)(?:::(\w+))?`")


def test_a_test_that_the_threat_model_calls_upon_is_there() -> None:
    """Whoever doubts a promise can run what is said to show it."""
    named = NAMED_TEST.findall((ROOT / "docs/threat-model.md").read_text())
    assert len(named) > 20
    for file, name in named:
        assert (ROOT / file).exists(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


CI_FILES = sorted((ROOT / "docs/ci").glob("*.yml"))


@pytest.mark.parametrize("file", CI_FILES, ids=lambda file: file.name)
def test_what_ci_runs_is_there(file: Path) -> None:
    """A workflow file that people copy is YAML, and each command in it has these options."""
    text = file.read_text()
    assert yaml.safe_load(text)
    lines = re.findall(r"\borchestrator ((?:[a-z]+)(?: [^\s)|;&$#\"]+)*)", text)
    known = orchestrator.list_commands(click.Context(orchestrator))
    lines = [line for line in lines if line.split()[0] in known]
    assert {line.split()[0] for line in lines} >= {"check", "changes", "build", "deploy"}
    for line in lines:
        command, words = find(line.split())
        assert {word for word in words if word.startswith("--")} <= options(command), line


GONE = (
    *("waits no more", "has heard it", "nothing is to be done again", "nobody gets in after"),
    *("not what its guard said", "it counts until", "not switched to live", "they are right"),
    *("is not for whom it should", "more and more seldom", "what becomes of hosts"),
    *("no further wave to begin (", "taken back", "taking back", "boot anew", "booted anew"),
    *("encrypted anew", "goes back by itself", "went back", "absent host", "were absent"),
    *("nothing to go back to", "lock steal"),
)
"""Words of our own, which said what the field has a term for: `docs/glossary.md`."""


def test_words_of_our_own_do_not_come_back() -> None:
    """Words that the field has a term for are in neither messages nor documentation."""
    pages = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
    # What a command was called is in the table of that, as a whole and nowhere else.
    texts = [*pages.values(), *(text for text in messages() if text not in RENAMED)]
    assert len(texts) > 2000
    for words in GONE:
        assert not [text for text in texts if words in text.lower()], words
