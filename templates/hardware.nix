# What follows from the kind of hardware alone. Disks and kernel modules are in hosts/NAME/.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkMerge;
  hardware = config.fleet.hardware;
  cpu = hardware.cpu or null;
  gpu = hardware.gpu or null;
in
{
  config = mkMerge [
    { hardware.enableRedistributableFirmware = mkDefault true; }
    (mkIf (cpu == "amd") {
      hardware.cpu.amd.updateMicrocode = mkDefault true;
      boot.kernelModules = [ "kvm-amd" ];
    })
    (mkIf (cpu == "intel") {
      hardware.cpu.intel.updateMicrocode = mkDefault true;
      boot.kernelModules = [ "kvm-intel" ];
    })
    (mkIf (gpu == "amd") {
      boot.initrd.kernelModules = [ "amdgpu" ];
    })
    (mkIf (gpu == "intel") {
      boot.initrd.kernelModules = [ "i915" ];
    })
  ];
}
