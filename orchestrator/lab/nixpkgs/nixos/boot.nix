# The boot loader: entries as systemd-boot has them, in the host's plain folder /boot. And what counts
# from a boot on only: a lab host has its machine's kernel, and only the name of its own.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  # Carried options of which a real initrd is made, too.
  initrd = config.boot.initrd or { };
  modules = (initrd.availableKernelModules or [ ]) ++ (initrd.kernelModules or [ ]);
in
{
  options.boot.loader.systemd-boot = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether systemd-boot's entries are written; a lab host knows no other.";
    };
    configurationLimit = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      description = "How many of the newest generations have an entry.";
    };
  };
  options.boot.kernelPackages = mkOption {
    type = types.raw;
    default = pkgs.linuxPackages;
    description = "The kernel.";
  };
  options.boot.kernelParams = mkOption {
    type = types.listOf types.str;
    default = [ ];
    description = "Words on its command line. `lab.boot=hang` and `lab.boot=fallback`: see `boot.sh`.";
  };
  options.systemd.package = mkOption {
    type = types.package;
    default = pkgs.systemd;
    description = "The systemd that counts from a boot on.";
  };

  config.system.build.bootParts = {
    kernel = config.boot.kernelPackages.kernel;
    initrd = pkgs.writeText "initrd" (lib.concatLines modules);
    params = builtins.concatStringsSep " " config.boot.kernelParams;
    systemd = config.systemd.package;
  };
}
