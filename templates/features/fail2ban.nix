# Whoever tries keys and passwords is not listened to for a while.
{ lib, ... }:
{
  services.fail2ban = {
    enable = true;
    maxretry = lib.mkDefault 10;
    bantime = lib.mkDefault "10m";
    # Longer for those who come back.
    bantime-increment.enable = lib.mkDefault true;
  };

  environment.etc."fleet/features/fail2ban".text = "Bans who tries passwords.\n";
}
