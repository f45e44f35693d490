"""What each check verifies, what comes of a finding, and how to cure it."""

from __future__ import annotations

from orchestrator.secrets.model.ciphertext import Explanation, Severity
from orchestrator.secrets.plan.explain_sops import SOPS

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO
_REKEY = "orchestrator secrets rekey PATH"
_GIT = "take a sound version from git: git log -- PATH, then git restore --source=COMMIT -- PATH"
_EDIT_RULES = "correct the entry in secrets.nix"
_ALL = (
    Explanation(
        "RULES-EVAL",
        _E,
        "secrets.nix evaluates to a set of entries with publicKeys",
        "Nobody can say who is to read this, so nothing of it is proved or rekeyed",
        _EDIT_RULES,
    ),
    Explanation(
        "RULES-PATH",
        _E,
        "names stay in the repository: not absolute, without `..`",
        "The file would be written and read outside the repository",
        "name the file relative to secrets.nix, in or below its folder",
    ),
    Explanation(
        "RULES-KEY",
        _E,
        "every recipient is a key that age can encrypt to, and there is at least one",
        "The secret cannot be re-encrypted",
        "correct the key in secrets.nix: ssh-ed25519, ssh-rsa of 2048 bits or more, or age1…",
    ),
    Explanation(
        "RULES-DUP",
        _W,
        "no recipient stands twice in a rule, and no file has two rules",
        "It does no harm, and hides a key that was meant and left out",
        "remove one of them from secrets.nix",
    ),
    Explanation(
        "KEY-PUBLISHED",
        _E,
        "no secret is for a key whose private half is published with the example fleet, but in a "
        "lab",
        "Everybody can decrypt it",
        "name keys of your own in secrets.nix, then: orchestrator secrets rekey PATH; and rotate "
        "the value, which everybody has: orchestrator secrets edit PATH",
    ),
    Explanation(
        "FILE-MISSING",
        _W,
        "each declared file exists; it is an error where a host's configuration uses it",
        "Whatever uses it does not evaluate",
        "orchestrator secrets create PATH",
    ),
    Explanation(
        "FILE-UNDECLARED",
        _W,
        "every .age file has a rule",
        "It is left out of every rekey, so whoever can read it now can read it for ever",
        "add a rule for it to secrets.nix, or git rm PATH",
    ),
    Explanation(
        "FILE-READ",
        _E,
        "each declared file is a regular file, readable, within the repository",
        "Nix does not take it into the flake as it is here, and nothing of it is proved",
        "replace it by the encrypted file itself",
    ),
    Explanation(
        "AGE-FORMAT",
        _E,
        "the file is a sound age file, by the format's specification",
        "No host can decrypt it",
        _GIT,
    ),
    Explanation(
        "AGE-EMPTY",
        _W,
        "the plaintext is not empty; it is an error where a host's configuration uses it",
        "agenix fails to activate a host that uses it",
        "orchestrator secrets edit PATH",
    ),
    Explanation(
        "AGE-NEWLINE",
        _W,
        "the file does not end with a newline, as one does that a text hook has altered",
        "If a hook added it (1 in 256 files ends so by chance), no host can decrypt the file",
        f"where a hook altered it, {_GIT}; and set `*.age binary` in .gitattributes",
    ),
    Explanation(
        "AGE-ARMOR",
        _W,
        "the file is armored where the rule says so, and only there",
        "Hosts read both; the next edit changes the form",
        _REKEY,
    ),
    Explanation(
        "AGE-PASSPHRASE",
        _E,
        "no passphrase opens the file",
        "A host has no passphrase, so it cannot decrypt the file",
        "decrypt it by hand (age -d), remove it, then: orchestrator secrets create PATH",
    ),
    Explanation(
        "AGE-DECRYPT",
        _E,
        "the file decrypts with the identities at hand that it is encrypted to",
        "Its content is damaged or was encrypted to another key; hosts may fail the same way",
        _GIT,
    ),
    Explanation(
        "REKEY-NEEDED",
        _W,
        "every declared recipient can read the file; it is an error where that is a target host",
        "It cannot decrypt the file",
        _REKEY,
    ),
    Explanation(
        "REKEY-EXTRA",
        _W,
        "no key that is known and not declared can read the file",
        "Whoever has that key reads the secret",
        f"{_REKEY}; and rotate the value, which they may have",
    ),
    Explanation(
        "REKEY-UNKNOWN",
        _W,
        "nobody can read the file whose key is not known",
        "Whoever has that key reads the secret",
        f"{_REKEY}; and rotate the value, which they may have",
    ),
    Explanation(
        "REKEY-COUNT",
        _W,
        "as many recipients that a file does not name can read it as are declared",
        "Somebody who should cannot read it, or somebody can who should not",
        _REKEY,
    ),
    Explanation(
        "REKEY-UNPROVEN",
        _I,
        "all recipients are verified; those of X25519 and of plugins need secrets.lock.json",
        "Their number is right, and whether it is they is not proved",
        f"{_REKEY} (it writes secrets.lock.json)",
    ),
    Explanation(
        "GIT-UNTRACKED",
        _E,
        "git tracks each declared file",
        "A flake does not see it: whatever uses it does not evaluate",
        "git add PATH",
    ),
    Explanation(
        "GIT-IGNORED",
        _E,
        "git does not ignore a declared file",
        "A flake does not see it: whatever uses it does not evaluate",
        "git add --force PATH, or remove the pattern",
    ),
    Explanation(
        "GIT-ATTR",
        _W,
        "git treats encrypted files as binary",
        "git and text hooks may alter line ends, after which no host can decrypt them",
        "echo '*.age binary' >> .gitattributes",
    ),
    Explanation(
        "CFG-FILE",
        _E,
        "each file that age.secrets names exists",
        "The host's configuration does not evaluate or activate",
        "orchestrator secrets create PATH",
    ),
    Explanation(
        "CFG-OUTSIDE",
        _W,
        "each file that age.secrets names lies in the repository",
        "Nothing of it can be proved from here",
        "move it into the repository and give it a rule",
    ),
    Explanation(
        "CFG-NORULE",
        _E,
        "each file that age.secrets names has a rule",
        "It is left out of every rekey and no check knows who may read it",
        "add a rule for it to secrets.nix",
    ),
    Explanation(
        "CFG-HOST",
        _E,
        "the rule of each file that a host uses has this host's key",
        "The host cannot decrypt it",
        f"add the host's key to the rule; then: {_REKEY}",
    ),
    Explanation(
        "CFG-MEMBER",
        _W,
        "what a member of a class has of its own is for no key that another host has",
        "That host, too, can decrypt it: the file is in the system of all members",
        f"take the other key out of the rule; then: {_REKEY}",
    ),
    Explanation(
        "CFG-MODE",
        _W,
        "no decrypted file is readable by everybody on the host",
        "Every process on the host can read it",
        'age.secrets.NAME.mode = "0400"',
    ),
    Explanation(
        "CFG-OWNER",
        _E,
        "the decrypted file's owner and group exist in the host's configuration",
        "Activation cannot give it to them: it stays root's, and its service cannot read it",
        "create the user or group, or correct age.secrets.NAME.owner",
    ),
    Explanation(
        "CFG-COLLIDE",
        _E,
        "no two secrets of a host are decrypted to one place",
        "One of them overwrites the other",
        "give one of them another path",
    ),
    Explanation(
        "CFG-SYMLINK",
        _E,
        "a secret with symlink = false has a path outside of age.secretsDir",
        "That folder is a link, which agenix replaces after it wrote the file: it is gone then",
        "give it a path of its own, or leave symlink = false out",
    ),
    Explanation(
        "HOST-IDPATH",
        _E,
        "one of the host's age.identityPaths holds a key that opens the file",
        "The host cannot decrypt it",
        "correct age.identityPaths, or give the rule the key that is there",
    ),
    Explanation(
        "HOST-KEY",
        _E,
        "the host's key is the one in the rules",
        "The host was reinstalled, or is another machine: it cannot decrypt its secrets",
        "put its new key into secrets.nix; then: orchestrator secrets rekey",
    ),
    Explanation(
        "HOST-PROBE",
        _E,
        "the host decrypts each of its secrets, tried before the switch",
        "Activation would leave the host without it",
        _REKEY,
    ),
    Explanation(
        "LEAK-LITERAL",
        _W,
        "no Nix file has a credential written into it; it is an error where its form is a token's",
        "It ends in the store, which everybody on the host can read, and in git for ever",
        "rotate the value and make it a secret: orchestrator secrets create PATH",
    ),
    Explanation(
        "LEAK-READFILE",
        _E,
        "no evaluation reads a secret with readFile",
        "The plaintext ends in the store, which everybody on the host can read",
        "use the path: config.age.secrets.NAME.path",
    ),
    Explanation(
        "LEAK-KNOWN",
        _E,
        "no value of a secret that an identity at hand opens stands in a tracked file, nor in the "
        "store, in what the hosts' systems are made from",
        "Everybody who reads the repository or the store has it",
        "remove it there and rotate the value: orchestrator secrets edit PATH",
    ),
    *SOPS,
    Explanation(
        "TXN-PENDING",
        _E,
        "no change of several files was cut off",
        "Some files may be new and others old",
        "orchestrator secrets recover",
    ),
)

EXPLANATIONS = {one.id: one for one in _ALL}
"""By id, in the order in which a person would want them fixed."""
