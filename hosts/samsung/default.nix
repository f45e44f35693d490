# Light laptop.
{ ... }:
{
  imports = [ ./hardware-configuration.nix ];

  # Little memory: compress before swapping to the disk.
  zramSwap.enable = true;
}
