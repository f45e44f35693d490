# A developer's own tools and settings.
{ lib, pkgs, ... }:
let
  inherit (lib) mkDefault;
in
{
  programs.git.enable = mkDefault true;

  # A project's environment is loaded where its folder is entered.
  programs.direnv = {
    enable = mkDefault true;
    nix-direnv.enable = mkDefault true;
  };

  home.packages = [ pkgs.fd ];
  home.sessionVariables.EDITOR = mkDefault "vim";

  xdg.configFile."fleet/profiles/developer".text = "A developer's own tools.\n";
}
