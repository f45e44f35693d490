# Disks, and what the kernel needs to find them.
{ ... }:
{
  boot.initrd.availableKernelModules = [
    "xhci_pci"
    "ahci"
    "nvme"
    "usbhid"
  ];

  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  fileSystems."/boot" = {
    device = "/dev/disk/by-label/ESP";
    fsType = "vfat";
    options = [ "umask=0077" ];
  };

  fileSystems."/srv/media" = {
    device = "media";
    fsType = "zfs";
    # A dead pool full of films must not keep the host from booting.
    options = [ "nofail" ];
  };
}
