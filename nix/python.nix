# What the tool needs of Python and nixpkgs has not, or has only older: for `packageOverrides`.
# The files are those of requirements.lock, by the same hashes; tests/nix/test_flake.py holds that.
{
  lib,
  stdenv,
  autoPatchelfHook,
}:
final: prev:
let
  wheels = {
    x86_64-linux = "sha256-f06wy8K0ruXerJhixHs4lYZt9VVBU5Ua+CLpxYHmhVg=";
    aarch64-linux = "sha256-+GizYMzT+DYybUK1Mvrj6OuDQKiMygo5wK4Q/OaPbMU=";
  };
  machine = lib.removeSuffix "-linux" stdenv.hostPlatform.system;
in
{
  # The wheel that pip installs: to build it, its crates would have to be vendored here.
  pyrage = final.buildPythonPackage rec {
    pname = "pyrage";
    version = "1.4.0";
    format = "wheel";
    src = final.fetchPypi {
      inherit pname version format;
      dist = "cp310";
      python = "cp310";
      abi = "abi3";
      platform = "manylinux_2_17_${machine}.manylinux2014_${machine}";
      hash = wheels.${stdenv.hostPlatform.system};
    };
    nativeBuildInputs = [ autoPatchelfHook ];
    buildInputs = [ stdenv.cc.cc.lib ];
    pythonImportsCheck = [ "pyrage" ];
    meta = {
      description = "Python bindings for the Rust implementation of age";
      homepage = "https://github.com/woodruffw/pyrage";
      license = lib.licenses.mit;
      platforms = builtins.attrNames wheels;
      sourceProvenance = [ lib.sourceTypes.binaryNativeCode ];
    };
  };

  # For "did you mean", which 8.4 brought.
  click =
    if lib.versionAtLeast prev.click.version "8.4" then
      prev.click
    else
      prev.click.overridePythonAttrs {
        version = "8.5.1";
        src = final.fetchPypi {
          pname = "click";
          version = "8.5.1";
          hash = "sha256-m7+tp2cD/R14S4PuoBLj6MagAah2VD7xBPpWqq6wcrQ=";
        };
        # nixpkgs' list of tests that fail there is its own version's.
        doCheck = false;
      };
}
