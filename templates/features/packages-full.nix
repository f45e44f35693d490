# What is looked for once a year, and then at once.
{ config, pkgs, ... }:
{
  fleet.bundles.packages-full = config.fleet.bundles.packages-development ++ [
    pkgs.ffmpeg
    pkgs.graphviz
    pkgs.imagemagick
    pkgs.iperf3
    pkgs.ncdu
    pkgs.nmap
    pkgs.socat
    pkgs.tcpdump
  ];

  environment.etc."fleet/features/packages-full".text = "Packages: full.\n";
}
