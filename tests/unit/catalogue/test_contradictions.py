"""The contradictions of a real catalogue that nobody checked, each written down and each found.

What cannot be found by looking: that a feature requires the wrong one of those there are. And what
cannot be written: two risks, sizes or names for one feature, since each is declared once.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.catalogue.check import check
from orchestrator.inventory.load import load
from orchestrator.inventory.tree import InventoryError

HOST = "hosts: {web1: }\n"

MISTAKES = {
    "it requires what there is not": (
        "features: {multi-tenant: {requires: [network-isolation]}}",
        "inventory/fleet.yaml:2:38: the unknown feature 'network-isolation'",
    ),
    "what conflicts is in no catalogue": (
        "features: {minimal-docs: {conflicts: [verbose-docs]}}",
        "the unknown feature 'verbose-docs'",
    ),
    "another catalogue's spelling": (
        "features: {gpuPassthrough: }\nprofiles: {lab: {features: [gpu-passthrough]}}",
        "the unknown feature 'gpu-passthrough'; expected one of gpuPassthrough; "
        "did you mean 'gpuPassthrough'?",
    ),
    "a name for people in the place of the name": (
        "features: {webDashboard: }\ntemplates: {t: {features: [Web Dashboard]}}",
        "the text 'Web Dashboard'; expected a feature's name",
    ),
    "a tier in the place of a feature": (
        "tiers: {enterprise: }\nfeatures: {a: }\ntemplates: {t: {features: [enterprise]}}",
        "the unknown feature 'enterprise'",
    ),
    "a tier of features that there are not": (
        "features: {a: }\ntiers: {standard: {features: [a, virtual-desktop]}}",
        "the unknown feature 'virtual-desktop'",
    ),
    "a tier that extends one that there is not": (
        "tiers: {standard: {extends: minimal}}",
        "the unknown tier 'minimal'",
    ),
    "a tier that is declared twice": (
        "tiers:\n  standard: {needs: {cpus: 2}}\n  standard: {needs: {cpus: 4}}",
        "inventory/fleet.yaml:4:3: the key 'standard' a second time",
    ),
    "a feature with two risks": (
        "features:\n  gpu: {risk: high}\n  gpu: {risk: moderate}",
        "the key 'gpu' a second time",
    ),
    "a risk that is none": (
        "features: {gpu: {risk: medium}}",
        "expected one of minimal, low, moderate, high, critical",
    ),
    "nothing in the place of a feature": (
        "features: {a: }\nprofiles: {full: {features: [a, null]}}",
        "nothing; expected a feature's name",
    ),
    "two of a group on one host": (
        "features: {gnome: {one_of: desktop}, kde: {one_of: desktop}}\n"
        "defaults: {features: [gnome, kde]}",
        "the feature 'kde' conflicts with 'gnome', both of the group 'desktop'",
    ),
    "a profile with what its own features exclude": (
        "features: {docs: {conflicts: [slim]}, slim: , all: {requires: [docs, slim]}}",
        "the feature 'all' comes to two that conflict: 'all' → 'docs', and 'all' → 'slim'",
    ),
    "features that require each other": (
        "features: {a: {requires: [b]}, b: {requires: [a]}}",
        "a cycle: 'a' → 'b' → 'a'",
    ),
    "a size that is none": (
        "features: {a: {needs: {memory: 512}}}",
        "expected a size such as 512M, 3G or 1.5T",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_what_cannot_be_so_is_a_mistake_of_the_inventory(tmp_path: Path, what: str) -> None:
    """An inventory that contradicts itself is not read, and its mistake is named."""
    text, found = MISTAKES[what]
    with pytest.raises(InventoryError) as caught:
        load(fleet(tmp_path, text))
    told = [str(one) for one in caught.value.mistakes]
    assert any(found in one for one in told), told


def fleet(folder: Path, text: str, modules: tuple[str, ...] = ()) -> Path:
    """A fleet of one host, with modules for some features."""
    for name in ("inventory", "templates/features"):
        (folder / name).mkdir(parents=True)
    (folder / "inventory/fleet.yaml").write_text(HOST + text + "\n")
    for name in modules:
        (folder / f"templates/features/{name}.nix").touch()
    return folder


BIG = "needs: {memory: 2G, cpus: 8, disk: 100G, gpu: nvidia}"
FINDINGS = {
    "a feature that changes nothing": (
        "features: {threatDetection: }",
        (),
        ("threatDetection", "nothing implements it"),
    ),
    "a module that no name leads to": (
        "features: {a: }",
        ("a", "optimization"),
        ("optimization", "is of no feature in the catalogue"),
    ),
    "a feature that no host has": ("features: {a: }", ("a",), ("a", "no host has it")),
    "a tier that counts three of its features": (
        f"features: {{a: {{{BIG}}}, b: {{{BIG}}}}}\n"
        "tiers: {minimal: {features: [a, b], needs: {memory: 1G, cpus: 8, disk: 1T, gpu: any}}}",
        ("a", "b"),
        ("tier minimal", "it needs 1.0 GiB of memory, and its features 4.0 GiB"),
    ),
    "a tier with fewer CPUs than a feature": (
        f"features: {{a: {{{BIG}}}}}\ntiers: {{standard: {{features: [a], needs: {{cpus: 2}}}}}}",
        ("a",),
        ("tier standard", "it needs 2 CPUs, and one of its features 8"),
    ),
    "a tier without the GPU of a feature": (
        f"features: {{a: {{{BIG}}}}}\ntiers: {{t: {{features: [a], needs: {{memory: 2G}}}}}}",
        ("a",),
        ("tier t", "it needs no GPU, and its features nvidia"),
    ),
    "a tier with a smaller disk than the one before": (
        "tiers: {professional: {needs: {disk: 250G}}, enterprise: {needs: {disk: 200G}}}",
        (),
        ("tier enterprise", "it needs less disk than professional, which stands before it"),
    ),
    "a tier that no host can have": (
        "features: {gnome: {one_of: d}, kde: {one_of: d}}\ntiers: {t: {features: [gnome, kde]}}",
        ("gnome", "kde"),
        ("tier t", "no host can have it: gnome conflicts with kde"),
    ),
    "a risk below that of what it requires": (
        "features: {gui: {risk: low, requires: [bridge]}, bridge: {risk: critical}}",
        ("gui", "bridge"),
        ("gui", "its risk is low, and it requires bridge (critical)"),
    ),
    "a reason without a risk": (
        "features: {a: {because: it is open to all}}",
        ("a",),
        ("a", "it says why it is risky, and not how risky"),
    ),
    "a capability that nothing detects": (
        "features: {a: {needs: {capability: [sriov]}}}",
        ("a",),
        ("a", "no machine says whether it has the capability 'sriov' that it needs"),
    ),
}


@pytest.mark.parametrize("what", FINDINGS)
def test_what_is_odd_is_found_by_the_check(tmp_path: Path, what: str) -> None:
    """A contradiction that lets an inventory be read is found by ``catalogue check``."""
    text, modules, (name, words) = FINDINGS[what]
    found = check(load(fleet(tmp_path, text, modules)).fleet)
    assert any(one.name == name and words in one.text for one in found), found


def test_a_catalogue_without_contradictions_has_no_findings(tmp_path: Path) -> None:
    """Of a catalogue in order, whose features are in use, nothing is found."""
    text = (
        "features:\n  exporter: {needs: {memory: 256M}}\n"
        "  watch: {requires: [exporter], risk: low, because: open, needs: {memory: 1G}}\n"
        "tiers:\n  small: {features: [exporter], needs: {memory: 1G}}\n"
        "  large: {extends: small, features: [watch], needs: {memory: 4G}}\n"
        "defaults: {tier: large}"
    )
    assert check(load(fleet(tmp_path, text, ("exporter", "watch"))).fleet) == ()
