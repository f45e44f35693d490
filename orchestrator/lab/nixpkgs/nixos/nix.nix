# nix.enable and system.switch.enable: without them a system is not to be changed any more.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  flag =
    description:
    lib.mkOption {
      type = lib.types.bool;
      default = true;
      inherit description;
    };
in
{
  options.nix.enable = flag "Whether Nix is in the system: the hosts' Debian's.";
  options.nix.package = lib.mkOption {
    type = lib.types.package;
    default = pkgs.nix;
    description = "Which Nix.";
  };
  options.system.switch.enable = flag "Whether the system has switch-to-configuration.";

  config.environment.systemPackages = lib.optional config.nix.enable config.nix.package;
}
