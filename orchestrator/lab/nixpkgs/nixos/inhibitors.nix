# system.switch.inhibitors: what must not differ where a system is switched to live.
{ config, lib, ... }:
let
  line = name: value: "${builtins.toJSON name}:${builtins.toJSON value}";
in
{
  options.system.switch.inhibitors = lib.mkOption {
    type = lib.types.attrsOf lib.types.str;
    default = { };
    description = "What keeps a system from being switched to live, where it changes.";
  };

  # JSON with a line for each, so that a shell can compare.
  config.system.build.inhibitors = "{\n${
    builtins.concatStringsSep ",\n" (lib.mapAttrsToList line config.system.switch.inhibitors)
  }\n}\n";
}
