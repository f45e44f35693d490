# Containers of single programs.
{ lib, ... }:
{
  virtualisation.podman = {
    enable = true;
    # People's scripts say docker.
    dockerCompat = lib.mkDefault true;
    # Containers find each other by name.
    defaultNetwork.settings.dns_enabled = lib.mkDefault true;
    autoPrune.enable = lib.mkDefault true;
  };

  environment.etc."fleet/features/containers".text = "Containers, by Podman.\n";
}
