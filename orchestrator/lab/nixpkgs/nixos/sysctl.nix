# boot.kernel.sysctl: the file that the next boot reads. A lab host's kernel is the machine's.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  value = one: if one == false then "0" else toString one;
in
{
  options.boot.kernel.sysctl = mkOption {
    type = types.attrsOf (types.nullOr (types.oneOf [ types.bool types.int types.str ]));
    default = { };
    description = "Settings of the kernel: sysctl(8).";
  };

  config.environment.etc."sysctl.d/60-nixos.conf".text = lib.concatLines (
    lib.mapAttrsToList (name: one: "${name}=${value one}") (
      lib.filterAttrs (_: one: one != null) config.boot.kernel.sysctl
    )
  );
}
