# Sway: tiling, and little memory.
{ lib, pkgs, ... }:
{
  programs.sway.enable = true;
  # Sway has no login screen of its own.
  services.displayManager = {
    ly.enable = lib.mkDefault true;
    defaultSession = lib.mkDefault "sway";
  };
  xdg.portal.extraPortals = [ pkgs.xdg-desktop-portal-wlr ];

  environment.etc."fleet/features/sway".text = "Sway.\n";
}
