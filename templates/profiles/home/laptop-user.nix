# A person's own desktop, on the move.
{ lib, ... }:
{
  imports = [ ./desktop-user.nix ];

  # Says so before the battery is empty.
  services.batsignal.enable = lib.mkDefault true;

  xdg.configFile."fleet/profiles/laptop-user".text = "A person's own desktop, on the move.\n";
}
