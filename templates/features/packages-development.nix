# What every programmer has, whatever the language.
{ config, pkgs, ... }:
{
  fleet.bundles.packages-development = config.fleet.bundles.packages-essential ++ [
    pkgs.direnv
    pkgs.fd
    pkgs.fzf
    pkgs.gnumake
    pkgs.just
  ];

  environment.etc."fleet/features/packages-development".text = "Packages: development.\n";
}
