# A machine under a desk, always on.
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
  boot.loader.efi.canTouchEfiVariables = mkDefault true;

  # Deployments come as root.
  users.users.root.openssh.authorizedKeys.keys = config.fleet.adminKeys;

  networking.networkmanager.enable = mkDefault true;

  # Somebody may build on it or fetch from it at any hour.
  powerManagement.cpuFreqGovernor = mkDefault "schedutil";

  environment.systemPackages = [
    pkgs.htop
    pkgs.pciutils
  ];

  environment.etc."fleet/template".text = "workstation\n";
}
