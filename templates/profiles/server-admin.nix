# Tools to look after services, beside those that whoever looks after a host has.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.ethtool
    pkgs.iotop
    pkgs.smartmontools
  ];

  environment.etc."fleet/profiles/server-admin".text = "Tools to look after services.\n";
}
