# Bluetooth, off until somebody switches it on.
{ lib, ... }:
{
  hardware.bluetooth = {
    enable = true;
    powerOnBoot = lib.mkDefault false;
  };
  services.blueman.enable = lib.mkDefault true;

  environment.etc."fleet/features/bluetooth".text = "Bluetooth.\n";
}
