"""What each check of secrets that sops encrypts verifies, and how to cure what it finds."""

from __future__ import annotations

from orchestrator.secrets.model.ciphertext import Explanation, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

SOPS = (
    Explanation(
        "SOPS-CONFIG",
        _E,
        ".sops.yaml is YAML with a list of creation rules, and age can encrypt to its age keys",
        "sops encrypts nothing by what is wrong",
        "correct .sops.yaml",
    ),
    Explanation(
        "SOPS-FILE",
        _E,
        "each file that sops.secrets names is there, for git too",
        "The host's configuration does not evaluate, or its activation fails",
        "sops PATH",
    ),
    Explanation(
        "SOPS-FORMAT",
        _E,
        "each file that sops.secrets names is encrypted by sops, and has the format that it says",
        "The host does not decrypt it",
        "sops encrypt --in-place PATH; or correct sops.secrets.NAME.format; a value that git had "
        "in the clear is to be rotated",
    ),
    Explanation(
        "SOPS-NAME",
        _E,
        "the key of each secret leads to a text in its file (YAML and JSON)",
        "sops-nix ends with an error, when it is built or activated",
        "add it: sops PATH; or correct sops.secrets.NAME.key",
    ),
    Explanation(
        "SOPS-HOST",
        _E,
        "each file that a host uses is encrypted to a key of the host, or to one of which that is "
        "not known",
        "Its activation cannot decrypt it",
        "name the host's age key (ssh-to-age) in .sops.yaml; then: sops updatekeys PATH",
    ),
    Explanation(
        "SOPS-MISSING",
        _W,
        "each file is encrypted to all keys of its creation rule",
        "Whoever has such a key alone cannot decrypt it",
        "sops updatekeys PATH",
    ),
    Explanation(
        "SOPS-EXTRA",
        _W,
        "no file is encrypted to a key that its creation rule does not name",
        "Whoever has such a key can decrypt it",
        "sops updatekeys PATH, and rotate its values; or name the key in .sops.yaml",
    ),
    Explanation(
        "SOPS-GROUPS",
        _W,
        "each file has the key groups of its creation rule, and needs as many of them",
        "Other people are needed together to decrypt it than the rule says",
        "sops updatekeys PATH",
    ),
    Explanation(
        "SOPS-NORULE",
        _W,
        "a creation rule takes each file that sops encrypted, where there is a .sops.yaml above it",
        "sops updatekeys does not change it, and its readers stay as they are",
        "add a rule for it to .sops.yaml",
    ),
    Explanation(
        "SOPS-UNPROVEN",
        _I,
        "each file that a host uses is known to be encrypted to a key of the host",
        "Whether the host decrypts it shows when it is activated",
        "where an SSH host key is meant: orchestrator host trust HOST; a key file, PGP and a "
        "cloud's keys cannot be compared",
    ),
)
"""In the order in which a person would want them fixed."""
