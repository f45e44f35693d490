# Whoever tries keys and passwords is not listened to for a while.
{ config, lib, ... }:
let
  inherit (config.fleet.settings.fail2ban) ignore_ip;
  # A tailnet's own addresses, where the host is in one.
  tailnet = lib.optional (builtins.elem "tailscale" config.fleet.features) "100.64.0.0/10";
in
{
  services.fail2ban = {
    enable = true;
    maxretry = lib.mkDefault 10;
    bantime = lib.mkDefault "10m";
    # Longer for those who come back.
    bantime-increment.enable = lib.mkDefault true;
    # A deployer who is banned reaches the host no more, and cannot lift it: loopback is never banned.
    ignoreIP = ignore_ip ++ tailnet;
  };

  environment.etc."fleet/features/fail2ban".text = "Bans who tries passwords.\n";
}
