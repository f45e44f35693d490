# Virtual machines and containers.
{ lib, pkgs, ... }:
{
  # Virtual machines are started by whoever needs one; nothing has to run for them all day.
  environment.systemPackages = [ pkgs.qemu_kvm ];

  virtualisation.podman = {
    enable = true;
    # People's scripts say docker.
    dockerCompat = lib.mkDefault true;
  };

  environment.etc."fleet/features/virtualisation".text = "Virtual machines and containers.\n";
}
