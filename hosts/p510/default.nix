# Media server.
{ ... }:
{
  imports = [ ./hardware-configuration.nix ];

  # No screen: the graphics chip is there to transcode films.
  nixpkgs.config.allowUnfree = true;
  services.xserver.videoDrivers = [ "nvidia" ];
  hardware.nvidia.open = false;
  hardware.graphics.enable = true;
}
