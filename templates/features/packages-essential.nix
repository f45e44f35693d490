# What whoever looks after a host asks for.
{ config, pkgs, ... }:
{
  fleet.bundles.packages-essential = config.fleet.bundles.packages-minimal ++ [
    pkgs.dig
    pkgs.htop
    pkgs.jq
    pkgs.ripgrep
    pkgs.strace
    pkgs.tmux
    pkgs.tree
    pkgs.unzip
  ];

  environment.etc."fleet/features/packages-essential".text = "Packages: essential.\n";
}
