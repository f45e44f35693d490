# AMD workstation and binary cache.
{ ... }:
{
  imports = [ ./hardware-configuration.nix ];

  # Many cores, and it builds for others: leave some to whoever sits in front of it.
  nix.settings.max-jobs = 8;
}
