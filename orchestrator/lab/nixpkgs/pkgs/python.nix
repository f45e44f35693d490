# Python, as far as packaging goes: what a package says of itself is checked, and nothing is built of it
# but its name, its source and what it needs.
{
  lib,
  run,
  stdenv,
  buildEnv,
  fetchurl,
}:
let
  # The names, as nixpkgs has them; what it has not (such as pyrage) is missing here as well.
  names = [
    "asyncssh"
    "bcrypt"
    "coverage"
    "cryptography"
    "fabric"
    "gitpython"
    "hypothesis"
    "invoke"
    "jsonschema"
    "msgspec"
    "mypy"
    "pytest"
    "pytest-cov"
    "pytest-randomly"
    "pytest-testinfra"
    "pytest-timeout"
    "pytest-xdist"
    "pyyaml"
    "rich"
    "ruff"
    "setuptools"
    "types-pyyaml"
    "zstandard"
  ];

  # An argument that is not listed is an error, where nixpkgs makes a variable of the build of it.
  build =
    {
      pname,
      version,
      src,
      pyproject ? null,
      format ? null,
      build-system ? [ ],
      dependencies ? [ ],
      nativeBuildInputs ? [ ],
      buildInputs ? [ ],
      makeWrapperArgs ? [ ],
      postInstall ? "",
      doCheck ? true,
      pythonImportsCheck ? [ ],
      passthru ? { },
      meta ? { },
    }@arguments:
    if (pyproject != true) == (format == null) then
      throw "${pname} does not configure a `format`: set `pyproject = true` and `build-system`"
    else if pyproject == true && build-system == [ ] then
      throw "${pname} has no `build-system`"
    else if meta ? platforms && !builtins.elem stdenv.hostPlatform.system meta.platforms then
      throw "Package ‘${pname}-${version}’ is not available on the requested hostPlatform"
    else
      run "${pname}-${version}"
        {
          inherit postInstall src;
          inputs = map toString (build-system ++ dependencies ++ nativeBuildInputs ++ buildInputs);
          wrapped = map toString makeWrapperArgs;
          imports = pythonImportsCheck;
          checked = lib.boolToString doCheck;
        }
        ''
          mkdir -p $out/bin
          ln -s $src $out/source
          printf '%s\n' $inputs > $out/inputs
          printf '#!/bin/sh\necho "${pname} ${version}: only its name is here"\n' > $out/bin/${pname}
          chmod +x $out/bin/${pname}
        ''
      // {
        inherit pname version meta;
        overridePythonAttrs =
          change: build (arguments // (if builtins.isFunction change then change arguments else change));
      }
      // passthru;

  base = final: {
    buildPythonPackage = build;
    buildPythonApplication = build;

    fetchPypi =
      {
        pname,
        version,
        hash,
        format ? "setuptools",
        dist ? "py2.py3",
        python ? "py2.py3",
        abi ? "none",
        platform ? "any",
      }:
      fetchurl {
        inherit hash;
        name =
          if format == "wheel" then
            "${pname}-${version}-${python}-${abi}-${platform}.whl"
          else
            "${pname}-${version}.tar.gz";
      };

    mkPythonEditablePackage =
      {
        pname,
        version,
        root,
        dependencies ? [ ],
        scripts ? { },
      }:
      assert builtins.isString root;
      run "${pname}-editable-${version}" { inputs = map toString dependencies; } "mkdir $out";

    # Older than the tool takes, as in NixOS 25.05.
    click = build {
      pname = "click";
      version = "8.1.8";
      format = "setuptools";
      src = "none";
    };
  }
  // lib.genAttrs names (
    pname:
    build {
      inherit pname;
      version = "0-stand-in";
      format = "setuptools";
      src = "none";
    }
  );

  python =
    { packageOverrides }:
    let
      prev = base final;
      final = prev // packageOverrides final prev;
    in
    run "python3-0-stand-in" { } ''
      mkdir -p $out/bin
      printf '#!/bin/sh\necho "python3: only its name is here"\n' > $out/bin/python3
      chmod +x $out/bin/python3
    ''
    // {
      pname = "python3";
      meta.mainProgram = "python3";
      pkgs = final;
      override = python;
      withPackages =
        choose:
        buildEnv {
          name = "python3-env";
          paths = choose final;
        };
    };
in
python { packageOverrides = _: _: { }; }
