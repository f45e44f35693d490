# A graphical desktop on the move.
{ lib, pkgs, ... }:
{
  imports = [ ./desktop-user.nix ];

  services.libinput.enable = lib.mkDefault true;
  # Closing the lid at home on the charger is no wish to stop.
  services.logind.lidSwitchExternalPower = lib.mkDefault "ignore";

  environment.systemPackages = [ pkgs.brightnessctl ];

  environment.etc."fleet/profiles/laptop-user".text = "A graphical desktop on the move.\n";
}
