# environment.systemPackages: what is in /run/current-system/sw.
{ lib, ... }:
{
  options.environment.systemPackages = lib.mkOption {
    type = lib.types.listOf lib.types.package;
    default = [ ];
    description = "Packages on every user's path.";
  };
}
