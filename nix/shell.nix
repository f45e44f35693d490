# For work on the tool: `nix develop`. `orchestrator` is the package below this folder, as it is.
{
  mkShell,
  age,
  git,
  just,
  nix,
  openssh,
  orchestrator,
}:
let
  inherit (orchestrator) project python;
  editable = python.pkgs.mkPythonEditablePackage {
    pname = project.name;
    inherit (project) version scripts;
    root = "$ORCHESTRATOR_CHECKOUT";
    dependencies = orchestrator.runtime;
  };
in
mkShell {
  packages = [
    (python.withPackages (_: [ editable ] ++ orchestrator.development))
    age
    git
    just
    nix
    openssh
  ];
  shellHook = "export ORCHESTRATOR_CHECKOUT=$PWD";
}
