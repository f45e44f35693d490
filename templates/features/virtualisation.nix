# Virtual machines and containers.
{ lib, ... }:
{
  virtualisation.libvirtd.enable = true;
  virtualisation.podman = {
    enable = true;
    # People's scripts say docker.
    dockerCompat = lib.mkDefault true;
  };

  environment.etc."fleet/features/virtualisation".text = "Virtual machines and containers.\n";
}
