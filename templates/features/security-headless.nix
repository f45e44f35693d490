# A host that nobody sits in front of: no console to log in at, and a panic ends in a boot.
{ lib, ... }:
{
  systemd.services."getty@tty1".enable = false;
  systemd.services."autovt@".enable = false;
  systemd.enableEmergencyMode = false;

  boot.kernelParams = [
    "panic=10"
    "boot.panic_on_fail"
  ];

  # A running kernel is replaced by a boot alone.
  security.protectKernelImage = lib.mkDefault true;

  environment.etc."fleet/features/security-headless".text = "Nobody sits in front of it.\n";
}
