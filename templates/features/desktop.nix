# What every graphical desktop has: sound, fonts, a browser's portals.
{ lib, pkgs, ... }:
{
  services.pipewire = {
    enable = true;
    alsa.enable = true;
    pulse.enable = true;
  };
  security.rtkit.enable = true;

  fonts.packages = [ pkgs.dejavu_fonts ];
  xdg.portal.enable = true;
  # Removable disks, by whoever sits in front of it.
  services.udisks2.enable = lib.mkDefault true;

  environment.etc."fleet/features/desktop".text = "A graphical desktop.\n";
}
