# The output `colmenaHive`, schema v0.5, as Colmena's `lib.makeHive` gives it.
{ lib }:
nodes:
let
  selected = names: set: lib.filterAttrs (name: _: builtins.elem name names) set;
in
rec {
  __schema = "v0.5";
  inherit nodes;
  metaConfig.allowApplyAll = true;
  toplevel = builtins.mapAttrs (_: node: node.config.system.build.toplevel) nodes;
  deploymentConfig = builtins.mapAttrs (_: node: node.config.deployment) nodes;
  deploymentConfigSelected = names: selected names deploymentConfig;
  evalSelected = names: selected names toplevel;
  evalSelectedDrvPaths = names: builtins.mapAttrs (_: system: system.drvPath) (evalSelected names);
  introspect = f: f { inherit lib nodes; };
}
