# Makes the battery last.
{ lib, pkgs, ... }:
{
  powerManagement.enable = true;
  # What desktops bring for the same.
  services.power-profiles-daemon.enable = false;
  services.tlp = {
    enable = true;
    settings = {
      CPU_SCALING_GOVERNOR_ON_BAT = lib.mkDefault "powersave";
      # A battery that is never full lives longer.
      STOP_CHARGE_THRESH_BAT0 = lib.mkDefault 85;
    };
  };

  environment.systemPackages = [ pkgs.powertop ];
  environment.etc."fleet/features/power-saving".text = "Makes the battery last.\n";
}
