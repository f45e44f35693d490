# What packages are made with, beside `runCommand`: as strict as nixpkgs about what they are given.
{ lib, packages, run }:
rec {
  # A function gets what it names: of `given`, else the package of that name, else it is an error.
  callPackage =
    written: given:
    let
      function = if builtins.isFunction written then written else import written;
      wanted = removeAttrs (builtins.functionArgs function) (builtins.attrNames given);
      missing = name: throw "Function called without required argument \"${name}\"";
      found = lib.filterAttrs (name: hasDefault: !hasDefault || packages ? ${name}) wanted;
      result = function (builtins.mapAttrs (name: _: packages.${name} or (missing name)) found // given);
      # A set gets these two, also where it is no package.
      overriding = {
        override = more: callPackage written (given // more);
        overrideDerivation = _: throw "overrideDerivation is not here";
      };
    in
    if builtins.isAttrs result then overriding // result else result;

  python3 = callPackage ./python.nix { inherit run; };
  python3Packages = python3.pkgs;

  # A file by its name and hash; its content is not here.
  fetchurl =
    { name, hash }:
    if builtins.match "sha256-[A-Za-z0-9+/]{43}=" hash == null then
      throw "the hash of ${name} is none: ${hash}"
    else
      run name { inherit hash; } "echo $hash > $out";

  mkShell =
    {
      name ? "nix-shell",
      packages ? [ ],
      inputsFrom ? [ ],
      shellHook ? "",
    }:
    run name {
      inherit shellHook;
      inputs = map toString (packages ++ inputsFrom);
    } "printf '%s\\n' $inputs > $out";

  dockerTools = {
    buildLayeredImage =
      {
        name,
        tag ? null,
        contents ? [ ],
        config ? { },
        created ? "1970-01-01T00:00:01Z",
        maxLayers ? 100,
        extraCommands ? "",
        fakeRootCommands ? "",
        includeNixDB ? false,
      }:
      run "${name}.tar.gz" {
        inherit extraCommands;
        contents = map toString contents;
        config = builtins.toJSON config;
      } "printf '%s\\n' \"$config\" $contents > $out";
    usrBinEnv = run "usr-bin-env" { } "mkdir -p $out/usr/bin";
    caCertificates = run "ca-certificates" { } "mkdir -p $out/etc/ssl";
  };
}
