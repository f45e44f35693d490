# A graphical desktop.
{ lib, pkgs, ... }:
let
  inherit (lib) mkDefault;
in
{
  programs.sway.enable = mkDefault true;
  # Sway has no login screen of its own.
  services.displayManager = {
    ly.enable = mkDefault true;
    defaultSession = mkDefault "sway";
  };

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
