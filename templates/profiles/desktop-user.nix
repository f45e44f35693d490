# A graphical desktop.
{ lib, pkgs, ... }:
let
  inherit (lib) mkDefault;
in
{
  services.xserver.enable = true;
  services.xserver.displayManager.lightdm.enable = mkDefault true;
  services.xserver.desktopManager.xfce.enable = mkDefault true;

  services.pipewire = {
    enable = true;
    alsa.enable = true;
    pulse.enable = true;
  };
  security.rtkit.enable = true;

  fonts.packages = [ pkgs.dejavu_fonts ];

  environment.systemPackages = [ pkgs.firefox ];

  environment.etc."fleet/profiles/desktop-user".text = "A graphical desktop.\n";
}
