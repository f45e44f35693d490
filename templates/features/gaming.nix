# Steam, and a machine that minds nothing else meanwhile.
{ lib, ... }:
{
  # Steam is not free.
  nixpkgs.config.allowUnfree = true;
  programs.steam.enable = true;
  programs.gamemode.enable = lib.mkDefault true;

  environment.etc."fleet/features/gaming".text = "Games.\n";
}
