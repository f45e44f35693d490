# Somebody works in front of it. The desktop itself is a feature.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.firefox
    pkgs.libreoffice
  ];

  environment.etc."fleet/profiles/desktop-user".text = "A graphical desktop.\n";
}
