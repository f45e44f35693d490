"""Ways in which a configuration may depend on the files of its flake."""

from __future__ import annotations

import platform
from collections.abc import Mapping


def _if_there(path: str, expression: str) -> str:
    return f'(if builtins.pathExists {path} then {expression} else "none")'


_READ = {
    "readFile": _if_there("@/files/a.txt", "builtins.readFile @/files/a.txt"),
    "readFileRaw": "builtins.readFile @/files/b.txt",
    "readCopied": 'builtins.readFile (self + "/${at}files/b.txt")',
    "readOddName": _if_there('(@/. + "/odd \\"ü\\"")', 'builtins.readFile (@/. + "/odd \\"ü\\"")'),
    "readConverted": _if_there("@/files/lines.txt", "builtins.readFile @/files/lines.txt"),
    "readFiltered": _if_there("@/files/big.bin", "builtins.readFile @/files/big.bin"),
    "readChain": 'let f = @/files + "/${builtins.head (builtins.split "\\n" '
    '(builtins.readFile @/pointer))}"; in ' + _if_there("f", "builtins.readFile f"),
    "readCompared": _if_there("@/files/a.txt", 'builtins.readFile @/files/a.txt == "a\\n"'),
    "hashFile": _if_there("@/files/a.txt", 'builtins.hashFile "sha256" @/files/a.txt'),
    "toFile": 'builtins.toFile "x" '
    + _if_there("@/files/a.txt", "builtins.readFile @/files/a.txt"),
    "fromJson": "(builtins.fromJSON (builtins.readFile @/data.json)).a",
    "importFolder": "import @/mod",
    "importAll": 'map (n: import (@/auto + "/${n}")) '
    "(builtins.attrNames (builtins.readDir @/auto))",
    "scopedImport": "builtins.scopedImport { z = 1; } @/mod/other.nix",
}
_LIST = {
    "readDir": "builtins.readDir @/d",
    "readDirRoot": "builtins.attrNames (builtins.readDir @/.)",
    "readDirNix": 'builtins.filter (n: builtins.match ".*[.]nix" n != null) '
    "(builtins.attrNames (builtins.readDir @/.))",
    "readDirDeep": 'let go = p: builtins.mapAttrs (n: t: if t == "directory" '
    'then go (p + "/${n}") else t) (builtins.readDir p); in go @/d',
    "readDirCopied": 'builtins.readDir "${self}/${at}list"',
    "readDirLinked": _if_there("@/dirlink/.", "builtins.readDir @/dirlink"),
}
_TYPE = {
    "existsYes": "builtins.pathExists @/files/a.txt",
    "existsNo": "builtins.pathExists @/files/absent.txt",
    "existsNoFolder": "builtins.pathExists @/nodir/absent.txt",
    "existsUntracked": "builtins.pathExists @/untracked.txt",
    "existsIgnored": "builtins.pathExists @/ignored.txt",
    "existsLinked": "builtins.pathExists @/dirlink/new",
    "existsBroken": "builtins.pathExists @/d/link",
    "type": _if_there("@/flip", "builtins.readFileType @/flip"),
    "typeOrContent": _if_there(
        "@/flip",
        'if builtins.readFileType @/flip == "directory" then builtins.readDir @/flip '
        "else builtins.readFile @/flip",
    ),
}
_LINK = {
    "readLinked": _if_there("@/d/link", "builtins.readFile @/d/link"),
    "readThroughFolder": _if_there("@/dirlink/one", "builtins.readFile @/dirlink/one"),
    "readSwapped": _if_there("@/swap/x", "builtins.readFile @/swap/x"),
    "listSwapped": _if_there("@/swap/.", "builtins.attrNames (builtins.readDir @/swap)"),
    "copySwapped": _if_there("@/swap", '"${@/swap}"'),
    "copyLinked": _if_there("@/d/link", '"${@/d/link}"'),
}
_COPY = {
    "copyAll": '"${@/.}"',
    "copyFolder": '"${@/src}"',
    "copyFile": _if_there("@/files/a.txt", '"${@/files/a.txt}"'),
    "copyTool": _if_there("@/bin/tool", 'builtins.path { path = @/bin/tool; name = "tool"; }'),
    "pathFolder": 'builtins.path { path = @/srcpath; name = "p"; }',
    "filterSource": 'builtins.filterSource (p: t: baseNameOf p == "s1" || t == "directory") @/src',
    "filterRoot": 'builtins.path { path = @/.; name = "f"; filter = p: t: '
    'builtins.elem (baseNameOf p) [ "files" "a.txt" "d" ]; }',
    "filterTypes": 'builtins.path { path = @/d; name = "t"; filter = p: t: t != "symlink"; }',
    "readOfCopy": _if_there("@/files/a.txt", 'builtins.readFile "${@/.}/files/a.txt"'),
    "readOfFolder": _if_there("@/src/s1", 'builtins.readFile "${@/src}/s1"'),
    "readOfFiltered": _if_there(
        "@/src/s1", 'builtins.readFile "${builtins.filterSource (_: _: true) @/src}/s1"'
    ),
    "copyModule": _if_there("@/module", '"${@/module}"'),
}
_SELF = {
    "selfOut": '"${self}"',
    "selfFolder": '"${self}/${at}src"',
    "selfRev": 'self.rev or "none"',
    "selfHasRev": "self ? rev",
    "selfShort": 'self.shortRev or "none"',
    "selfDirty": 'self.dirtyRev or "none"',
    "selfHasDirty": "self ? dirtyShortRev",
    "selfEither": 'self.rev or self.dirtyRev or "none"',
    "selfCount": "self.revCount or 0",
    "selfHasCount": "self ? revCount",
    "selfModified": "self.lastModified or 0",
    "selfDate": 'self.lastModifiedDate or "none"',
    "selfNar": 'self.narHash or "none"',
    "selfNames": "builtins.attrNames self.sourceInfo",
    "selfSubmodules": "self.submodules or false",
    "pathText": "toString @/files/a.txt",
    "pathLength": "builtins.stringLength (toString @/files/a.txt)",
    "position": "__curPos",
    "positionLine": "__curPos.line",
    "hashOfPath": 'builtins.hashString "sha256" (toString @/.)',
}
_MODULE = {
    "moduleThere": "builtins.pathExists @/module",
    "moduleRead": _if_there("@/module/inside", "builtins.readFile @/module/inside"),
    "moduleCompared": "builtins.pathExists @/module/inside "
    '&& builtins.readFile @/module/inside == "changed\\n"',
}
_BUILD = {
    "importBuilt": 'import (build "echo 1 > $out")',
    "readBuiltFromSelf": 'drop (builtins.readFile (build "${copy} < ${self}/${at}files/b.txt"))',
    "readBuiltFromFolder": 'drop (builtins.readFile (build "${copy} < ${@/src}/s1"))',
}
_FETCH = {
    "fetchRelative": '(builtins.fetchTree "path:./src").narHash',
    "fetchFolder": '(builtins.fetchTree { type = "path"; path = "${self}/${at}src"; }).narHash',
    "none": '"none"',
}

CONSTRUCTS = {**_READ, **_LIST, **_TYPE, **_LINK, **_COPY, **_SELF, **_MODULE, **_BUILD, **_FETCH}
INPUTS = {
    "inputRead": "sub.text",
    "inputFile": "sub.file",
    "inputList": "sub.list",
    "inputOut": '"${sub}"',
}
"""What only a flake with the input ``sub`` has."""


def flake(constructs: Mapping[str, str], *, at: str = "", head: str = "", inputs: str = "") -> str:
    """A flake with an attribute ``c.NAME`` for each construct.

    Args:
        constructs: Name to expression; ``@`` stands for the folder of the files.
        at: From the flake to the files: empty, or ``../``.
        head: What the flake says before ``outputs``.
        inputs: What its outputs take besides ``self``, each after a comma.
    """
    place = f"./{at}".rstrip("/")
    texts = {name: text.replace("@", place) for name, text in constructs.items()}
    lines = "\n".join(f'      {name} = mk "{name}" ({text});' for name, text in texts.items())
    return f"""{{
  {head}
  outputs = {{ self{inputs} }}: let
    at = "{at}";
    mk = name: value: derivation {{
      name = "c-${{name}}";
      system = "none";
      builder = "none";
      value = builtins.toJSON value;
    }};
    drop = builtins.unsafeDiscardStringContext;
    copy = "while read x; do echo $x; done > $out";
    build = script: derivation {{
      name = "built";
      system = "{platform.machine()}-linux";
      builder = "/bin/sh";
      args = [ "-c" script ];
    }};
  in {{
    c = {{
{lines}
    }};
  }};
}}
"""
