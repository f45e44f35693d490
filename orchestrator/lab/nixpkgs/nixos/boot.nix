# The boot loader: entries as systemd-boot has them, in the host's plain folder /boot.
{ lib, ... }:
{
  options.boot.loader.systemd-boot = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether systemd-boot's entries are written; a lab host knows no other.";
    };
    configurationLimit = lib.mkOption {
      type = lib.types.nullOr lib.types.ints.positive;
      default = null;
      description = "How many of the newest generations have an entry.";
    };
  };
}
