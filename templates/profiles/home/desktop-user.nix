# A person's own desktop.
{ lib, ... }:
let
  inherit (lib) mkDefault;
in
{
  # The terminal that Sway opens, and who shows what programs have to say.
  programs.foot.enable = mkDefault true;
  services.mako.enable = mkDefault true;

  xdg.configFile."fleet/profiles/desktop-user".text = "A person's own desktop.\n";
}
