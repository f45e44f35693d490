# Watches the others.
{ ... }:
{
  imports = [ ./hardware-configuration.nix ];

  # A year and a half of history, for comparing seasons.
  services.prometheus.retentionTime = "550d";
}
