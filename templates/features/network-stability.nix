# Connections that outlive bad networks.
{ lib, ... }:
{
  boot.kernel.sysctl = {
    # Paths that drop large packets without a word.
    "net.ipv4.tcp_mtu_probing" = lib.mkDefault 1;
    # NAT forgets a silent connection after some minutes.
    "net.ipv4.tcp_keepalive_time" = lib.mkDefault 120;
    "net.ipv4.tcp_keepalive_intvl" = lib.mkDefault 30;
  };

  # A radio that sleeps loses what comes meanwhile.
  networking.networkmanager.wifi.powersave = lib.mkDefault false;
  # Neither a boot nor a switch waits for a network that may not come.
  systemd.services.NetworkManager-wait-online.enable = lib.mkDefault false;

  environment.etc."fleet/features/network-stability".text = "Outlives bad networks.\n";
}
