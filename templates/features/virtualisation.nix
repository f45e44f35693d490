# Virtual machines and containers.
{ lib, ... }:
{
  # Whole machines, virtual or as containers. It routes for them, and refuses iptables.
  virtualisation.incus.enable = true;
  networking.nftables.enable = true;

  # Containers of single programs.
  virtualisation.podman = {
    enable = true;
    # People's scripts say docker.
    dockerCompat = lib.mkDefault true;
  };

  environment.etc."fleet/features/virtualisation".text = "Virtual machines and containers.\n";
}
