# `nix flake check`: the tool's unit tests, the example fleet, and deployments in virtual machines.
{
  self,
  inputs,
  lib,
  callPackage,
  runCommand,
  writeText,
  age,
  git,
  nix,
  openssh,
  orchestrator,
}:
let
  # The derivation of each host's system: evaluated, and not built.
  system = host: builtins.unsafeDiscardStringContext host.config.system.build.toplevel.drvPath;
in
{
  package = orchestrator;

  unit =
    runCommand "orchestrator-unit-tests"
      {
        nativeBuildInputs = [
          (orchestrator.python.withPackages (_: orchestrator.runtime ++ orchestrator.development))
          age
          git
          nix
          openssh
        ];
      }
      ''
        cp -r ${self} source
        chmod -R u+w source
        cd source
        export HOME=$TMPDIR
        pytest tests/unit -q -p no:cacheprovider -n "$NIX_BUILD_CORES"
        touch $out
      '';

  inventory = runCommand "orchestrator-inventory" { nativeBuildInputs = [ orchestrator ]; } ''
    export HOME=$TMPDIR
    orchestrator check --inventory --frozen --fleet ${self}
    touch $out
  '';

  fleet = writeText "orchestrator-fleet" (
    lib.concatLines (lib.mapAttrsToList (name: host: "${name} ${system host}") self.nixosConfigurations)
  );
}
// callPackage ../tests/vm { inherit inputs orchestrator; }
