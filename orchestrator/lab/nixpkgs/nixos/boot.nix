# The boot loader: its files, in the host's plain folder /boot. And what counts from a boot on only: a lab
# host has its machine's kernel, and only the name of its own.
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
  loader = config.boot.loader;
  kind =
    if config.boot.isContainer then
      "container"
    else if loader.grub.enable then
      "grub"
    else if loader.generic-extlinux-compatible.enable then
      "extlinux"
    else if !loader.systemd-boot.enable then
      "none"
    else if loader.systemd-boot.bootCounting.enable then
      "systemd-boot-counted"
    else
      "systemd-boot";
  modules = (initrd.availableKernelModules or [ ]) ++ (initrd.kernelModules or [ ]);
in
{
  options.boot.loader.systemd-boot = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether systemd-boot's entries are written.";
    };
    bootCounting = {
      enable = lib.mkEnableOption "entries whose names count tries";
      tries = mkOption {
        type = types.ints.positive;
        default = 3;
        description = "How many tries a new entry has.";
      };
    };
    configurationLimit = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      description = "How many of the newest generations have an entry.";
    };
  };
  options.boot.loader.grub.enable = lib.mkEnableOption "GRUB";
  options.boot.loader.generic-extlinux-compatible.enable = lib.mkEnableOption "extlinux.conf";
  options.boot.isContainer = lib.mkEnableOption "a system that something else boots";
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

  config.system.build.loader = {
    inherit kind;
    inherit (loader.systemd-boot.bootCounting) tries;
  };
  # The lab boots by the plain systemd-boot's files; by the others a program of the system itself does.
  config.environment.etc = lib.mkIf (kind != "systemd-boot") {
    "lab/boot-loader".source = ./boot-loader.sh;
    "systemd/system/generation-boot.service.d/loader.conf".text = ''
      [Unit]
      ConditionPathExists=
      [Service]
      ExecStart=
      ExecStart=/bin/sh /etc/lab/boot-loader ${kind}
    '';
  };

  config.system.build.bootParts = {
    kernel = config.boot.kernelPackages.kernel;
    initrd = pkgs.writeText "initrd" (lib.concatLines modules);
    params = builtins.concatStringsSep " " config.boot.kernelParams;
    systemd = config.systemd.package;
  };
}
