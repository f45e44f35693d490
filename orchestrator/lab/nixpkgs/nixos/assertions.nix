# Assertions stop an evaluation, warnings are told.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.assertions = mkOption {
    type = types.listOf types.unspecified;
    default = [ ];
    description = "What must hold: a list of { assertion, message }.";
  };
  options.warnings = mkOption {
    type = types.listOf types.str;
    default = [ ];
    description = "What a person should know of this configuration.";
  };
}
