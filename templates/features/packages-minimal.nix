# What a host cannot be looked at without.
{ pkgs, ... }:
{
  fleet.bundles.packages-minimal = [
    pkgs.curl
    pkgs.file
    pkgs.lsof
    pkgs.rsync
  ];

  environment.etc."fleet/features/packages-minimal".text = "Packages: minimal.\n";
}
