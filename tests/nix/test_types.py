"""What types promise, as nixpkgs' do: what they take, how they merge, how they refuse."""

from __future__ import annotations

import json

import pytest
from nix_bench import Modules

MERGES: dict[str, tuple[str, object]] = {
    "lists are joined": ("it (t.listOf t.int) [ [ 1 ] [ 2 3 ] ]", [2, 3, 1]),
    "elements may be conditional": (
        "it (t.listOf t.int) [ [ 1 (mkIf false 2) (mkIf true 3) ] ]",
        [1, 3],
    ),
    "a list without a definition is empty": ("it (t.listOf t.int) [ (mkIf false [ 1 ]) ]", []),
    "lines are joined by a newline": ('it t.lines [ "a" "b\n" "c" ]', "c\nb\n\na"),
    "commas": ('it t.commas [ "a" "b" ]', "b,a"),
    "colons": ('it t.envVar [ "a" "b" ]', "b:a"),
    "a separator of one's own": ('it (t.separatedString "-") [ "a" "b" ]', "b-a"),
    "sets are joined": ("it (t.attrsOf t.int) [ { a = 1; } { b = 2; } ]", {"a": 1, "b": 2}),
    "values in sets have priorities": (
        "it (t.attrsOf t.int) [ { a = mkDefault 1; b = 1; } { a = 2; b = mkForce 3; } ]",
        {"a": 2, "b": 3},
    ),
    "values in sets may be conditional": (
        "it (t.attrsOf t.int) [ { a = mkIf false 1; b = mkIf true 2; } ]",
        {"b": 2},
    ),
    "a set as a whole has a priority": (
        "it (t.attrsOf t.int) [ (mkForce { a = 1; }) { b = 2; } ]",
        {"a": 1},
    ),
    "a set without a definition is empty": ("it (t.attrsOf t.int) [ (mkIf false { a = 1; }) ]", {}),
    "sets nest": (
        "it (t.attrsOf (t.attrsOf (t.listOf t.int)))"
        " [ { a.b = [ 1 ]; } { a.b = [ 2 ]; a.c = [ ]; } ]",
        {"a": {"b": [2, 1], "c": []}},
    ),
    "lists of sets": (
        "it (t.listOf (t.attrsOf t.int)) [ [ { a = mkDefault 1; } ] [ { a = mkIf false 2; } ] ]",
        [{}, {"a": 1}],
    ),
    "null": ("[ (it (t.nullOr t.int) [ null null ]) (it (t.nullOr t.int) [ 1 ]) ]", [None, 1]),
    "null gives way to a stronger value": ("it (t.nullOr t.int) [ null (mkForce 1) ]", 1),
    "null or a list": ("it (t.nullOr (t.listOf t.int)) [ [ 1 ] [ 2 ] ]", [2, 1]),
    "either merges as what all are": (
        "let e = t.either t.lines (t.listOf t.int);"
        ' in [ (it e [ "a" "b" ]) (it e [ [ 1 ] [ 2 ] ]) ]',
        ["b\na", [2, 1]],
    ),
    "one of several": (
        'map (value: it (t.oneOf [ t.bool t.int t.str ]) [ value ]) [ true 1 "a" ]',
        [True, 1, "a"],
    ),
    "an enumeration": ('it (t.enum [ "a" 1 ]) [ "a" "a" ]', "a"),
    "coercion": (
        'let c = t.coercedTo t.int toString t.lines; in [ (it c [ 1 ]) (it c [ 1 "b" ]) ]',
        ["1", "b\n1"],
    ),
    "coercion into a list": (
        "it (t.coercedTo t.int (n: [ n ]) (t.listOf t.int)) [ 1 [ 2 3 ] 4 ]",
        [4, 2, 3, 1],
    ),
    "coercion of elements": (
        'it (t.listOf (t.coercedTo t.int toString t.str)) [ [ 1 "a" ] ]',
        ["1", "a"],
    ),
    "functions are merged by what they give": (
        "it (t.functionTo (t.listOf t.int)) [ (n: [ n ]) (n: [ (n + 1) ]) ] 1",
        [2, 1],
    ),
    "anything: sets and lists deep, equal values once": (
        'it t.anything [ { a.b = 1; c = "x"; } { a.d = mkForce 2; c = "x"; } { a.d = 3; } ]',
        {"a": {"b": 1, "d": 2}, "c": "x"},
    ),
    "an attribute set is joined shallowly": (
        "it t.attrs [ { a = 1; } { b.c = 2; } ]",
        {"a": 1, "b": {"c": 2}},
    ),
    "numbers": (
        "[ (it t.int [ (-1) ]) (it t.ints.unsigned [ 0 ]) (it t.ints.positive [ 1 ])"
        " (it t.port [ 65535 ]) (it (t.ints.between 3 5) [ 5 ])"
        " (it t.float [ 1.5 ]) (it t.number [ 2 ]) ]",
        [-1, 0, 1, 65535, 5, 1.5, 2],
    ),
    "texts": (
        '[ (it t.str [ "" ]) (it t.nonEmptyStr [ "a" ]) (it (t.strMatching "[a-z]+") [ "abc" ])'
        ' (it t.singleLineStr [ "a\n" ]) ]',
        ["", "a", "abc", "a"],
    ),
    "paths": ('map (value: it t.path [ value ]) [ "/a" "/a/b c" ]', ["/a", "/a/b c"]),
    "a default of a set's option": (
        "given { it = mkOption { type = t.attrsOf t.int; default.a = 1; }; } [ { it.b = 2; } ]",
        {"it": {"b": 2}},
    ),
    "lazy sets need not be evaluated": (
        '(it (t.lazyAttrsOf t.int) [ { a = throw "no"; b = 2; } ]).b',
        2,
    ),
    "unique values": ("it (t.uniq t.int) [ (mkDefault 1) 2 ]", 2),
}


@pytest.mark.parametrize("what", MERGES)
def test_merging(modules: Modules, what: str) -> None:
    """Definitions become the value that nixpkgs makes of them."""
    expression, expected = MERGES[what]
    assert modules.value(expression) == expected


SUBMODULE = """
  let
    s = t.submodule ({ name, config, ... }: {
      options = {
        name = mkOption { type = t.str; default = name; };
        n = mkOption { type = t.int; default = 1; };
        list = mkOption { type = t.listOf t.int; default = [ ]; };
        twice = mkOption { type = t.int; default = config.n * 2; };
      };
      config = mkIf (config.n > 5) { list = [ 6 ]; };
    });
  in
"""


def test_submodules(modules: Modules) -> None:
    """A submodule knows its name, has defaults, and merges its definitions."""
    expression = """it (t.attrsOf s) [
      { a.n = 7; a.list = [ 1 ]; b = { }; }
      { a.list = mkBefore [ 0 ]; c = { name = "other"; n = mkForce 2; }; }
      { c = { n = 3; }; }
      { d = { config, ... }: { n = 4; list = [ config.n ]; }; }
    ]"""
    assert modules.value(SUBMODULE + expression) == {
        "a": {"name": "a", "n": 7, "list": [0, 6, 1], "twice": 14},
        "b": {"name": "b", "n": 1, "list": [], "twice": 2},
        "c": {"name": "other", "n": 2, "list": [], "twice": 4},
        "d": {"name": "d", "n": 4, "list": [4], "twice": 8},
    }


def test_submodules_take_properties(modules: Modules) -> None:
    """mkIf, mkMerge and mkDefault around a submodule's definition reach its options."""
    expression = """it (t.attrsOf s) [
      { a = mkIf true { n = 2; }; b = mkIf false { n = 3; }; }
      { a = mkMerge [ { list = [ 1 ]; } (mkIf false { list = [ 2 ]; }) ]; }
    ]"""
    assert modules.value(SUBMODULE + expression) == {
        "a": {"name": "a", "n": 2, "list": [1], "twice": 4}
    }


def test_a_submodule_that_nobody_defines(modules: Modules) -> None:
    """One submodule is there with its defaults though no definition names it."""
    expression = f"""{SUBMODULE} removeAttrs
      (given {{ it = mkOption {{ type = s; }}; }} [ ]).it [ "name" ]"""
    assert modules.value(expression) == {"n": 1, "list": [], "twice": 2}


def test_lists_of_submodules(modules: Modules) -> None:
    """Each element of a list is a submodule of its own."""
    expression = """map (one: one.n) (it (t.listOf s) [ [ { n = 2; } { } ] [ { n = 3; } ] ])"""
    assert modules.value(SUBMODULE + expression) == [3, 2, 1]


def test_either_a_text_or_a_submodule(modules: Modules) -> None:
    """`coercedTo str … submodule` and `either` take both ways of writing."""
    expression = (
        """it (t.attrsOf (t.coercedTo t.int (n: { inherit n; }) s)) [ { a = 5; b.n = 6; } ]"""
    )
    found = modules.value(SUBMODULE + expression)
    assert {name: one["n"] for name, one in found.items()} == {"a": 5, "b": 6}


FREEFORM = """
  let s = t.submodule {
    freeformType = t.attrsOf (t.listOf t.int);
    options.known = mkOption { type = t.int; default = 1; };
  };
  in
"""


def test_freeform(modules: Modules) -> None:
    """`freeformType` takes and merges what no option declares, and options stay what they are."""
    expression = (
        "it s [ { known = 2; other = [ 1 ]; } { other = [ 2 ]; more = mkIf false [ 3 ]; } ]"
    )
    assert modules.value(FREEFORM + expression) == {"known": 2, "other": [1, 2]}
    text = modules.error(FREEFORM + "it s [ { other = 7; } ]")
    assert "`it.other' is not of type" in text
    assert "d1.nix" in text


def test_freeform_at_the_top(modules: Modules) -> None:
    """`_module.freeformType` does the same for a whole configuration."""
    expression = """config [
      { config._module.freeformType = t.attrsOf t.int; options.a = mkOption { default = 1; }; }
      { b = mkDefault 2; } { b = 3; }
    ]"""
    assert modules.value(expression) == {"a": 1, "b": 3}


REFUSED: dict[str, tuple[str, str, str]] = {
    # type, value, a part of the type's name
    "bool": ("t.bool", '"yes"', "boolean"),
    "int": ("t.int", '"1"', "signed integer"),
    "string": ("t.str", "1", "string"),
    "list": ("t.listOf t.int", "1", "list of signed integer"),
    "set": ("t.attrsOf t.int", "[ ]", "attribute set of signed integer"),
    "enum": ('t.enum [ "a" "b" ]', '"c"', 'one of "a", "b"'),
    "null": ("t.nullOr t.int", '"a"', "null or signed integer"),
    "either": ("t.either t.int t.bool", '"a"', "signed integer or boolean"),
    "port": ("t.port", "65536", "16 bit unsigned integer"),
    "positive": ("t.ints.positive", "0", "positive integer"),
    "between": ("t.ints.between 1 3", "4", "integer between 1 and 3"),
    "path": ("t.path", '"relative"', "absolute path"),
    "package": ("t.package", "1", "package"),
    "submodule": ("t.submodule { }", "1", "submodule"),
    "coerced": (
        "t.coercedTo t.int toString t.str",
        "true",
        "string or signed integer convertible to it",
    ),
    "not empty": ("t.nonEmptyListOf t.int", "[ ]", "non-empty"),
    "function": ("t.functionTo t.int", "1", "function that evaluates to"),
    "one line": ("t.singleLineStr", '"a\nb"', "single-line string"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_type(modules: Modules, what: str) -> None:
    """A value of another type is an error that names the option, the file, the type, the value."""
    kind, value, name = REFUSED[what]
    text = modules.error(f"it ({kind}) [ ({value}) ]")
    assert "A definition for option `it' is not of type `" in text
    assert name in text
    assert "In `d1.nix'" in text
    if value not in ("[ ]", "{ }"):
        assert json.loads(json.dumps(value.strip('"').split("\n")[0])) in text


def test_a_wrong_type_inside(modules: Modules) -> None:
    """Inside a list, a set or a submodule the error names the place, and only the wrong file."""
    text = modules.error('it (t.attrsOf (t.listOf t.int)) [ { a = [ 1 ]; } { a = [ 2 "x" ]; } ]')
    assert "`it.a." in text
    assert "-entry 2]" in text
    assert "d2.nix" in text
    assert "d1.nix" not in text
    text = modules.error(
        "it (t.attrsOf (t.submodule { options.n = mkOption { type = t.int; }; }))"
        " [ { a.n = true; } ]"
    )
    assert "`it.a.n' is not of type `signed integer'" in text
    assert "d1.nix" in text


def test_an_unknown_option_of_a_submodule(modules: Modules) -> None:
    """A misspelt option of a submodule is an error with its whole path and file."""
    text = modules.error(
        'it (t.attrsOf (t.submodule { options.enable = mkEnableOption "it"; }))'
        " [ { a.enabel = true; } ]"
    )
    assert "The option `it.a.enabel' does not exist" in text
    assert "d1.nix" in text


def test_a_set_with_a_name_that_needs_quotes(modules: Modules) -> None:
    """A name with dots in it is quoted, so that the place in an error can be typed."""
    text = modules.error('it (t.attrsOf t.int) [ { "a.b/c" = true; } ]')
    assert 'it."a.b/c"' in text


def test_null_and_a_value_conflict(modules: Modules) -> None:
    """Null and a value of equal priority are an error, not a choice."""
    text = modules.error("it (t.nullOr t.int) [ null 1 ]")
    assert "option `it` is defined both null and not null" in text
    assert "d1.nix" in text
    assert "d2.nix" in text


def test_packages_do_not_merge(modules: Modules) -> None:
    """Two packages for one option are an error that names both files."""
    derive = '(derivation { name = "%s"; system = "x"; builder = "x"; })'
    text = modules.error(f"it t.package [ {derive % 'a'} {derive % 'b'} ]")
    assert "`it'" in text
    assert "d1.nix" in text
    assert "d2.nix" in text


def test_unique_values_do_not_merge(modules: Modules) -> None:
    """`uniq` and `raw` take one definition only."""
    for kind in ("t.uniq t.int", "t.raw"):
        text = modules.error(f"it ({kind}) [ 1 2 ]")
        assert "`it'" in text
        assert "d2.nix" in text
