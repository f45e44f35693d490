# What an administrator has on every server.
{ lib, ... }:
let
  inherit (lib) mkDefault;
in
{
  # A session that outlives the connection.
  programs.tmux = {
    enable = mkDefault true;
    clock24 = mkDefault true;
    historyLimit = mkDefault 50000;
  };

  programs.htop.enable = mkDefault true;

  xdg.configFile."fleet/profiles/server-admin".text = "An administrator's own tools.\n";
}
