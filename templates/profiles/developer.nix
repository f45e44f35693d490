# Compilers, editors and what a shell needs. Virtual machines are the feature virtualisation.
{ lib, pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.gcc
    pkgs.gnumake
    pkgs.python3
    pkgs.ripgrep
  ];

  # Sources of what was built stay when garbage is collected: no second download.
  nix.settings.keep-outputs = lib.mkDefault true;

  environment.etc."fleet/profiles/developer".text = "Compilers and editors.\n";
}
