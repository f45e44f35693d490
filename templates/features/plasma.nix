# Plasma: windows, panels and settings for everything.
{ lib, ... }:
{
  services.desktopManager.plasma6.enable = true;
  services.displayManager = {
    sddm = {
      enable = lib.mkDefault true;
      wayland.enable = lib.mkDefault true;
    };
    defaultSession = lib.mkDefault "plasma";
  };

  environment.etc."fleet/features/plasma".text = "Plasma.\n";
}
