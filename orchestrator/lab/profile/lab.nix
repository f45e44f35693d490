# What a namespace cannot have, taken out of a system of NixOS: kernel, initrd, hardware, the network's
# setup. `lab` is lab.json: `key`, who may log in; `placeholders`, whether secrets are.
lab:
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkForce mkIf optionalAttrs;
  has = path: lib.hasAttrByPath path options;

  # A file in the place of a kernel, for the boot loader's builder to copy; the host has its machine's.
  stub = pkgs.runCommand "linux-lab" { } ''
    mkdir -p $out/lib/modules/${pkgs.linux.modDirVersion}
    echo 'the lab has no kernel of its own' > $out/${pkgs.linux.target}
  '';
  kernel = lib.makeOverridable (
    _:
    pkgs.linux
    // {
      inherit (stub) out outPath drvPath;
      modules = stub;
      dev = stub;
      # What NixOS reads of it at build time.
      configfile = pkgs.writeText "linux-lab-config" ''
        CONFIG_ARCH_MMAP_RND_BITS_MAX=32
        CONFIG_ARCH_MMAP_RND_COMPAT_BITS_MAX=16
      '';
      outputs = [ "out" ];
      features.efiBootStub = true;
    }
  ) { };
in
{
  config = lib.mkMerge [
    {
      # The deployer's key, for each account that there is; the fleet's own keys hold as well.
      environment.etc."ssh/lab_authorized_keys" = {
        text = "${lab.key}\n";
        mode = "0444";
      };
      # For whoever looks at the host, and for checks that cannot hold here: orchestrator/verify.
      environment.etc."lab/profile".text = ''
        A host of a lab. Its kernel, initrd, hardware, mounts and network are the lab's.
      '';
      services.openssh.authorizedKeysFiles = [ "/etc/ssh/lab_authorized_keys" ];

      boot.kernelPackages = mkIf (pkgs ? linuxPackagesFor) (mkForce (pkgs.linuxPackagesFor kernel));
      boot.extraModulePackages = mkForce [ ];
      boot.initrd = {
        secrets = mkForce { };
        luks.devices = mkForce { };
      };
      system.build.initialRamdisk = mkForce (
        pkgs.runCommand "initrd-lab" { } "mkdir $out; echo 'the lab has no initrd' > $out/initrd"
      );
      boot.modprobeConfig.enable = mkForce false;
      hardware.firmware = mkForce [ ];
      hardware.enableRedistributableFirmware = mkForce false;
      services.udev.enable = mkForce false;
      services.lvm.enable = mkForce false;
      security.audit.enable = mkForce false;
      console.enable = mkForce false;
      powerManagement.enable = mkForce false;

      # Folders of this machine; nothing is to be mounted.
      fileSystems = mkForce {
        "/" = {
          device = "none";
          fsType = "none";
          options = [ "noauto" ];
        };
      };
      swapDevices = mkForce [ ];
      systemd.services.systemd-remount-fs.enable = false;

      # This machine's EFI variables are nobody's to write; /boot is a folder and no partition.
      boot.loader.efi.canTouchEfiVariables = mkForce false;
      boot.loader.grub.devices = mkForce [ "nodev" ];
      boot.loader.grub.efiSupport = mkForce false;
      # No device has an id that it could ask for.
      boot.loader.grub.fsIdentifier = mkForce "provided";
      boot.loader.timeout = mkForce 0;

      # The lab has made eth0, and there is no other network.
      networking.useDHCP = mkForce false;
      networking.interfaces = mkForce { };
      networking.networkmanager.enable = mkForce false;
      networking.wireless.enable = mkForce false;
      networking.useNetworkd = mkForce false;
      systemd.network.enable = mkForce false;
      services.resolved.enable = mkForce false;
      services.timesyncd.enable = mkForce false;
      nix.settings.substituters = mkForce [ ];
    }
    (optionalAttrs (has [ "hardware" "graphics" "enable" ]) {
      hardware.graphics.enable = mkForce false;
      services.xserver.videoDrivers = mkForce [ ];
    })
    (optionalAttrs ((lab.placeholders or false) && has [ "age" "ageBin" ]) {
      age.ageBin = mkForce "${pkgs.writeShellScript "age-placeholder" (builtins.readFile ./age-placeholder.sh)}";
    })
    (optionalAttrs (has [ "systemd" "settings" ]) {
      systemd.settings.Manager.DefaultEnvironment = "SYSTEMD_RELAX_ESP_CHECKS=1";
    })
  ];
}
