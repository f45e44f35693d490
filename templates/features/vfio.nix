# Keeps PCI devices, such as a second graphics card, from this system: its guests drive them.
{ config, lib, ... }:
let
  inherit (config.fleet) hardware settings;
  ids = lib.concatStringsSep "," settings.vfio.devices;
in
{
  # AMD's has its IOMMU on by itself.
  boot.kernelParams = lib.optional (hardware.cpu or null == "intel") "intel_iommu=on" ++ [
    "iommu=pt"
    "vfio-pci.ids=${ids}"
  ];
  # Before the devices' own drivers.
  boot.initrd.kernelModules = lib.mkBefore [
    "vfio_pci"
    "vfio"
    "vfio_iommu_type1"
  ];

  environment.etc."fleet/features/vfio".text = "For guests: ${ids}\n";
}
