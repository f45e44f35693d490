"""JUnit XML: one test suite a host, in the form that CI systems read.

There is no standard; this follows the schema that pytest's and Jenkins' own writers share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from orchestrator.verify.result import Check, CheckFailure

# XML 1.0 section 2.2 has no other characters.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def suite(host: str, checks: Sequence[Check], failures: Sequence[CheckFailure]) -> Xml.Element:
    """Build a host's test suite.

    Args:
        host: Its name.
        checks: Every check that ended.
        failures: Everything that failed; those that are no check (a suite that could not be read,
            a deadline) become test cases of their own, in error.
    """
    names = {check.name for check in checks}
    others = [failure for failure in failures if failure.check not in names]
    element = Xml.Element(
        "testsuite",
        name=host,
        tests=str(len(checks) + len(others)),
        failures=str(sum(check.outcome == "failed" for check in checks)),
        errors=str(len(others)),
        skipped=str(sum(check.outcome == "skipped" for check in checks)),
        time=f"{sum(check.seconds for check in checks):.3f}",
    )
    for check in checks:
        _add_check(element, host, check)
    for failure in others:
        _add_error(element, host, failure)
    return element


def write(path: Path, suites: Iterable[Xml.Element]) -> None:
    """Write a document of test suites, whole or not at all.

    Raises:
        OSError: It could not be written.
    """
    root = Xml.Element("testsuites", name="orchestrator verify")
    root.extend(suites)
    Xml.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}")
    try:
        Xml.ElementTree(root).write(new, encoding="utf-8", xml_declaration=True)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def merge(paths: Iterable[Path], into: Path) -> None:
    """Put the hosts' documents into one for the run; a host that has none is left out."""
    # Only ever reads what ``write`` wrote.
    trees = [Xml.parse(path) for path in paths if path.exists()]  # noqa: S314
    write(into, [suite for tree in trees for suite in tree.getroot().findall("testsuite")])


def _add_check(parent: Xml.Element, host: str, check: Check) -> None:
    file, _, name = check.name.partition("::")
    case = Xml.SubElement(
        parent,
        "testcase",
        classname=_legal(f"{host}.{file}"),
        name=_legal(name or file),
        time=f"{check.seconds:.3f}",
    )
    if check.outcome == "failed":
        failure = Xml.SubElement(case, "failure", message=_legal(check.message))
        failure.text = _legal("\n".join([*check.said, check.output]))
    elif check.outcome == "skipped":
        Xml.SubElement(case, "skipped", message=_legal(check.message))


def _add_error(parent: Xml.Element, host: str, failure: CheckFailure) -> None:
    case = Xml.SubElement(
        parent, "testcase", classname=host, name=_legal(failure.check), time="0.000"
    )
    error = Xml.SubElement(case, "error", message=_legal(failure.message))
    error.text = _legal(failure.output)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("�", text)
