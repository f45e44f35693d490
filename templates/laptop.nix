# A machine that is often switched off, and often far away.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkDefault;
in
{
  imports = [ ./base.nix ];

  boot.loader.systemd-boot.enable = mkDefault true;
  # Laptops tend to have the smallest ESP.
  boot.loader.systemd-boot.configurationLimit = 5;
  boot.loader.efi.canTouchEfiVariables = mkDefault true;

  # Deployments come as root.
  users.users.root.openssh.authorizedKeys.keys = config.fleet.adminKeys;

  networking.networkmanager.enable = mkDefault true;

  # Its clock's place moves with it.
  time.timeZone = null;

  environment.systemPackages = [
    pkgs.acpi
    pkgs.htop
  ];

  environment.etc."fleet/template".text = "laptop\n";
}
