"""What the module system promises, as nixpkgs does: priorities, properties, imports, errors.

Run with ``NIXPKGS_LIB`` these hold a real nixpkgs' ``lib`` to the same.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from nix_bench import Modules

PRIORITIES = ("mkOptionDefault", "mkDefault", "id", "mkForce", "mkVMOverride")
"""From the weakest; `id` is a plain definition."""


@pytest.mark.parametrize(("weak", "strong"), itertools.combinations(PRIORITIES, 2))
def test_the_stronger_definition_wins(modules: Modules, weak: str, strong: str) -> None:
    """MkOptionDefault < mkDefault < plain < mkForce < mkVMOverride, in whatever order they come."""
    expression = f"""[
      (it t.str [ ({weak} "weak") ({strong} "strong") ])
      (it t.str [ ({strong} "strong") ({weak} "weak") ])
      (it (t.listOf t.str) [ ({weak} [ "weak" ]) ({strong} [ "strong" ]) ])
    ]"""
    assert modules.value(expression) == ["strong", "strong", ["strong"]]


def test_priorities_are_nixpkgs_numbers(modules: Modules) -> None:
    """1500, 1000, 100, 60, 50 and 10: a module may name one by number."""
    expression = """map (make: (make 0).priority)
      [ mkOptionDefault mkDefault mkImageMediaOverride mkForce mkVMOverride ]
      ++ [ (it t.int [ 1 (mkOverride 99 2) (mkOverride 101 3) ]) ]
    """
    assert modules.value(expression) == [1500, 1000, 60, 50, 10, 2]


def test_a_default_is_the_weakest(modules: Modules) -> None:
    """An option's own default gives way to mkDefault, and merges with mkOptionDefault."""
    expression = """
      let option = { it = mkOption { type = t.listOf t.int; default = [ 1 ]; }; };
      in map (values: (given option (map (it: { inherit it; }) values)).it) [
        [ ] [ (mkDefault [ 2 ]) ] [ (mkOptionDefault [ 2 ]) ] [ [ 2 ] (mkDefault [ 3 ]) ]
      ]
    """
    none, replaced, merged, plain = modules.value(expression)
    assert (none, replaced, sorted(merged), plain) == ([1], [2], [1, 2], [2])


def test_equal_priorities_conflict(modules: Modules) -> None:
    """Two plain values that differ are an error that names the option, both files, both values."""
    for wrap in ("id", "mkDefault", "mkForce"):
        text = modules.error(f'it t.str [ ({wrap} "one") ({wrap} "two") ]')
        assert "The option `it' has conflicting definition values:" in text
        for part in ('`d1.nix\': "one"', '`d2.nix\': "two"', "mkForce", "mkDefault"):
            assert part in text


def test_equal_values_do_not_conflict(modules: Modules) -> None:
    """Who says the same twice says it once."""
    assert modules.value('[ (it t.str [ "a" "a" ]) (it t.bool [ true true ]) ]') == ["a", True]


def test_if_and_merge_nest_in_any_order(modules: Modules) -> None:
    """mkIf, mkMerge, mkForce and mkDefault nest, and what does not hold leaves nothing."""
    expression = """map (it (t.listOf t.int)) [
      [ (mkIf true [ 1 ]) (mkIf false [ 2 ]) ]
      [ (mkMerge [ [ 1 ] (mkIf false [ 2 ]) (mkIf true (mkMerge [ [ 3 ] (mkIf true [ 4 ]) ])) ]) ]
      [ (mkIf false (mkForce [ 1 ])) [ 2 ] ]
      [ (mkIf true (mkForce [ 1 ])) [ 2 ] ]
      [ (mkMerge [ (mkForce [ 1 ]) (mkDefault [ 2 ]) [ 3 ] ]) ]
      [ (mkIf true (mkMerge [ (mkDefault [ 1 ]) (mkDefault [ 2 ]) ])) ]
      [ (mkIf true (mkIf true (mkIf true [ 1 ]))) ]
    ]"""
    assert modules.value(expression) == [
        *([1], [1, 3, 4], [2], [1], [1], [1, 2], [1]),
    ]


@pytest.mark.parametrize("inner", ["mkIf true [ 1 ]", "mkMerge [ [ 1 ] ]"])
def test_a_property_inside_an_override_is_a_mistake(modules: Modules, inner: str) -> None:
    """`mkForce (mkIf …)` around a value is refused as in nixpkgs: the condition goes around."""
    text = modules.error(f"it (t.listOf t.int) [ (mkForce ({inner})) [ 2 ] ]")
    assert "option `it' is not of type `list of signed integer'" in text
    assert "d1.nix" in text


def test_properties_work_at_every_level(modules: Modules) -> None:
    """A property around a whole configuration, a branch or a value does the same."""
    expression = """
      map (definitions: given { a.b.c = mkOption { type = t.int; default = 0; }; } definitions) [
        [ (mkIf true { a.b.c = 1; }) ]
        [ { a = mkIf true { b.c = 1; }; } ]
        [ { a.b = mkIf true { c = 1; }; } ]
        [ { a.b.c = mkIf true 1; } ]
        [ (mkMerge [ { a.b = mkMerge [ { c = mkDefault 2; } (mkIf true { c = 1; }) ]; } ]) ]
        [ (mkForce { a.b.c = 1; }) { a.b.c = 2; } ]
        [ { a = mkForce { b.c = 1; }; } { a.b.c = 2; } ]
        [ { a = mkDefault { b.c = 2; }; } { a.b.c = 1; } ]
        [ (mkIf true { a = mkMerge [ { b = mkIf true { c = mkForce 1; }; } { b.c = 3; } ]; }) ]
      ]
    """
    assert modules.value(expression) == [{"a": {"b": {"c": 1}}}] * 9


def test_conditions_may_ask_the_configuration(modules: Modules) -> None:
    """A condition may depend on any other option, even beside it, without endless recursion."""
    expression = """
      (config [
        { options = {
            a.enable = mkEnableOption "a";
            b.enable = mkEnableOption "b";
            c.enable = mkEnableOption "c";
            names = mkOption { type = t.listOf t.str; default = [ ]; };
          };
        }
        { a.enable = true; }
        ({ config, ... }: mkIf config.a.enable { b.enable = true; names = [ "a" ]; })
        ({ config, ... }: mkIf config.b.enable (mkMerge [
          { names = [ "b" ]; }
          (mkIf config.c.enable { names = [ "c" ]; })
        ]))
        ({ config, ... }: {
          config.names = mkIf (elem "a" (if config.b.enable then [ "a" ] else [ ])) [ "d" ];
        })
      ])
    """
    assert modules.value(expression) == {
        **{name: {"enable": name != "c"} for name in "abc"},
        "names": ["d", "b", "a"],
    }


def test_mk_assert_stops_only_what_it_guards(modules: Modules) -> None:
    """MkAssert passes a value on, and is an error with its message where it does not hold."""
    assert modules.value('it t.int [ (mkAssert true "no" 1) ]') == 1
    assert "Failed assertion: too small" in modules.error(
        'it t.int [ (mkAssert false "too small" 1) ]'
    )


def test_order(modules: Modules) -> None:
    """MkBefore (500) comes before plain (1000) before mkAfter (1500); the last first."""
    expression = """[
      (it (t.listOf t.int) [ (mkAfter [ 5 ]) [ 4 ] (mkBefore [ 2 ]) [ 3 ] (mkOrder 1 [ 1 ]) ])
      (it t.lines [ "b" (mkAfter "c") (mkBefore "a") ])
      (it (t.listOf t.int) [ (mkIf true (mkAfter [ 3 ])) (mkAfter [ 2 ]) [ 1 ] ])
      (it (t.listOf t.int) [ (mkForce (mkAfter [ 2 ])) (mkForce [ 1 ]) [ 3 ] ])
      (map (make: (make 0).priority) [ mkBefore mkAfter ])
    ]"""
    assert modules.value(expression) == [
        *([1, 2, 3, 4, 5], "a\nb\nc", [1, 2, 3], [1, 2], [500, 1500]),
    ]


def test_order_of_what_is_imported(modules: Modules) -> None:
    """The last definition is first; what is imported comes before what imports it."""
    expression = """(config [
      { options.it = mkOption { type = t.listOf t.str; }; }
      {
        it = [ "a" ];
        imports = [ { it = [ "b" ]; imports = [ { it = [ "c" ]; } ]; } { it = [ "d" ]; } ];
      }
      { it = [ "e" ]; }
    ]).it"""
    assert modules.value(expression) == list("cdbea")


def test_modules_are_sets_or_functions(modules: Modules) -> None:
    """A module may be a set, a function of what it names, or of everything."""
    expression = """(evalModules {
      specialArgs.extra = 7;
      modules = [
        { options.it = mkOption { type = t.listOf t.int; }; }
        { it = [ 1 ]; }
        ({ extra, ... }: { it = [ extra ]; })
        (arguments: { it = [ (arguments.extra + 1) ]; })
        ({ lib, config, options, ... }: { it = lib.optional (options ? it) 9; })
        { config.it = [ 10 ]; }
        { _file = "named"; key = "named"; config = mkIf true { it = [ 11 ]; }; }
      ];
    }).config.it"""
    assert modules.value(expression) == [11, 10, 9, 8, 7, 1]


def written(folder: Path, **files: str) -> Path:
    """Write modules to files, each with the option `it`'s declaration imported."""
    (folder / "options.nix").write_text(
        "{ lib, ... }: { options.it = lib.mkOption { type = lib.types.listOf lib.types.str; }; }"
    )
    for name, text in files.items():
        (folder / f"{name}.nix").write_text(text)
    return folder


def test_a_file_is_imported_once(modules: Modules, tmp_path: Path) -> None:
    """A file that several modules import counts once."""
    folder = written(
        tmp_path,
        a='{ imports = [ ./options.nix ./b.nix ./c.nix ]; it = [ "a" ]; }',
        b='{ imports = [ ./options.nix ./c.nix ]; it = [ "b" ]; }',
        c='{ it = [ "c" ]; }',
    )
    found = modules.value(f"(config [ {folder}/a.nix {folder}/c.nix {folder}/b.nix ]).it")
    assert sorted(found) == ["a", "b", "c"]


def test_imports_in_a_circle(modules: Modules, tmp_path: Path) -> None:
    """Files that import each other are an error; ours names both, nixpkgs' stack overflows."""
    folder = written(
        tmp_path,
        a="{ imports = [ ./options.nix ./b.nix ]; it = [ ]; }",
        b="{ imports = [ ./a.nix ]; }",
    )
    text = modules.error(f"(config [ {folder}/a.nix ]).it")
    if modules.is_standin:
        assert "a.nix' imports itself, by way of" in text
        assert "b.nix" in text


def test_an_argument_that_nobody_gives(modules: Modules) -> None:
    """A module that asks for what nobody provides is an error that names it."""
    text = modules.error(
        "(config [ { options.it = mkOption { }; } ({ nobody, ... }: { it = nobody; }) ]).it"
    )
    assert "nobody" in text


def test_a_module_without_dots_is_refused(modules: Modules) -> None:
    """A function has to end in `...`: nixpkgs gives modules more than they ask for."""
    assert "unexpected argument" in modules.error("config [ ({ lib }: { }) ]")


def test_an_import_may_not_ask_the_configuration(modules: Modules) -> None:
    """Imports that depend on the configuration end in an error, and not in silence."""
    done = modules._run("""config [
      { options.it = mkOption { default = true; }; }
      ({ config, ... }: { imports = if config.it then [ { } ] else [ ]; })
    ]""")
    assert done.returncode == 1
    assert "infinite recursion" in done.stderr


def test_an_option_declared_twice(modules: Modules) -> None:
    """Two declarations of one option are an error that names it and both files."""
    text = modules.error("""config [
      { _file = "one.nix"; options.a.it = mkOption { default = 1; }; }
      { _file = "two.nix"; options.a.it = mkOption { default = 2; }; }
    ]""")
    assert "option `a.it'" in text
    assert "already declared" in text
    assert "one.nix" in text
    assert "two.nix" in text


def test_an_option_below_an_option(modules: Modules) -> None:
    """What is an option in one module and a branch of options in another is an error."""
    text = modules.error("""config [
      { _file = "one.nix"; options.a = mkOption { default = 1; }; }
      { _file = "two.nix"; options.a.it = mkOption { default = 2; }; }
    ]""")
    assert "`a" in text
    assert "one.nix" in text
    assert "two.nix" in text


def test_an_undefined_option(modules: Modules) -> None:
    """An option without default is an error only when it is used, and names itself."""
    declared = "{ a.it = mkOption { type = t.str; }; b = mkOption { default = 1; }; }"
    assert modules.value(f"(given {declared} [ ]).b") == 1
    text = modules.error(f"(given {declared} [ ]).a.it")
    assert "option `a.it'" in text
    assert "no value defined" in text or "used but not defined" in text


def test_an_unknown_option(modules: Modules) -> None:
    """What no module declares is an error that names the option and the file, used or not."""
    text = modules.error(
        '(given { a.enable = mkEnableOption "a"; } [ { a.enabel = true; } ]).a.enable'
    )
    assert "The option `a.enabel' does not exist" in text
    assert "d1.nix" in text


def test_an_unknown_option_at_the_top(modules: Modules) -> None:
    """A whole tree that nobody declares is an error as well, though something else is asked for."""
    text = modules.error('(given { a = mkEnableOption "a"; } [ { b.c.d = true; } ]).a')
    assert "The option `b' does not exist" in text or "The option `b.c" in text
    assert "d1.nix" in text


def test_an_unknown_option_that_does_not_hold(modules: Modules) -> None:
    """A condition that does not hold does not make an unknown option known."""
    text = modules.error('(given { a = mkEnableOption "a"; } [ (mkIf false { b = true; }) ]).a')
    assert "The option `b' does not exist" in text


def test_a_value_where_a_branch_is(modules: Modules) -> None:
    """A number where options live is an error that names the file, not a crash of the evaluator."""
    text = modules.error('(given { a.b = mkEnableOption "b"; } [ { a = 7; } ]).a.b')
    assert "`a'" in text
    assert "d1.nix" in text


def test_a_stray_attribute(modules: Modules, tmp_path: Path) -> None:
    """Beside `config` or `options`, an option at the top is an error that says what to do."""
    folder = written(tmp_path, f="{ options = { }; a = 2; }")
    text = modules.error(f"config [ {folder}/f.nix ]")
    assert "f.nix" in text
    assert "unsupported attribute `a'" in text


@pytest.mark.parametrize("what", ["7", "{ imports = [ 7 ]; }", '"text"'])
def test_what_is_no_module(modules: Modules, what: str) -> None:
    """A number or a text in the list of modules is an error of the evaluation."""
    assert modules.error(f"config [ {what} ]")


def test_apply(modules: Modules) -> None:
    """`apply` changes what others see, once, whatever was defined."""
    expression = """(given {
      a = mkOption { type = t.int; default = 1; apply = n: n * 10; };
      b = mkOption { type = t.listOf t.int; apply = length; };
    } [ { b = [ 1 2 ]; } { b = [ 3 ]; } ])"""
    assert modules.value(expression) == {"a": 10, "b": 3}


def test_read_only(modules: Modules) -> None:
    """A read-only option may be set once; a second time is an error that names it."""
    option = "{ it = mkOption { type = t.listOf t.int; readOnly = true; }; }"
    assert modules.value(f"(given {option} [ {{ it = [ 1 ]; }} ]).it") == [1]
    text = modules.error(f"(given {option} [ {{ it = [ 1 ]; }} {{ it = [ 2 ]; }} ]).it")
    assert "option `it' is read-only" in text


def test_read_only_with_a_default(modules: Modules) -> None:
    """A read-only option with a default is set already."""
    option = "{ it = mkOption { type = t.int; readOnly = true; default = 1; }; }"
    assert modules.value(f"(given {option} [ ]).it") == 1
    text = modules.error(f"(given {option} [ {{ it = 2; }} ]).it")
    assert "option `it' is read-only" in text


def test_options_can_be_asked(modules: Modules) -> None:
    """`options` tells whether something is defined, by whom, and with what priority."""
    expression = """let
      options = (evaluate [
        { options.a = mkOption { type = t.int; }; }
        { options.b = mkOption { type = t.int; default = 1; }; }
        { _file = "f.nix"; a = mkDefault 1; }
      ]).options;
    in {
      a = { inherit (options.a) isDefined value highestPrio files; };
      b = { inherit (options.b) isDefined value highestPrio; };
    }"""
    assert modules.value(expression) == {
        "a": {"isDefined": True, "value": 1, "highestPrio": 1000, "files": ["f.nix"]},
        "b": {"isDefined": True, "value": 1, "highestPrio": 1500},
    }


def test_module_arguments(modules: Modules) -> None:
    """`_module.args` gives modules more arguments, as functions of the configuration."""
    expression = """(config [
      { options.it = mkOption { type = t.int; }; options.n = mkOption { default = 2; }; }
      ({ config, ... }: { _module.args.double = config.n * 2; })
      ({ double, ... }: { it = double; })
    ]).it"""
    assert modules.value(expression) == 4


def test_disabled_modules(modules: Modules, tmp_path: Path) -> None:
    """A disabled module is as if nobody had imported it."""
    folder = written(tmp_path, a='{ it = [ "a" ]; }', b='{ it = [ "b" ]; }')
    listed = " ".join(f"{folder}/{name}.nix" for name in ("options", "a", "b"))
    expression = f"(config [ {listed} {{ disabledModules = [ {folder}/a.nix ]; }} ]).it"
    assert modules.value(expression) == ["b"]


def test_a_condition_that_is_no_boolean(modules: Modules) -> None:
    """`mkIf "yes"` is an error, and not a condition."""
    assert (
        "non-Boolean" in (text := modules.error('it t.int [ (mkIf "yes" 1) ]'))
        or "no boolean" in text
    )


def test_a_suggestion(modules: Modules) -> None:
    """A misspelt name gets the nearest ones, with their whole place."""
    text = modules.error(
        "(given { a = genAttrs [ "
        '"template" "profiles" "tags" "users" "zzz" ] (_: mkOption { default = 1; }); }'
        " [ { a.tempalte = 1; } ]).a"
    )
    assert "Did you mean `a.template'" in text
    assert "a.zzz" not in text
