# A graphical desktop on the move.
{ lib, pkgs, ... }:
{
  imports = [ ./desktop-user.nix ];

  services.libinput.enable = lib.mkDefault true;

  environment.systemPackages = [ pkgs.brightnessctl ];

  environment.etc."fleet/profiles/laptop-user".text = "A graphical desktop on the move.\n";
}
