# Tools to look after services.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.curl
    pkgs.htop
    pkgs.jq
    pkgs.lsof
  ];

  environment.etc."fleet/profiles/server-admin".text = "Tools to look after services.\n";
}
