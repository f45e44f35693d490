# Is reached from anywhere, by a private network. To join it: `tailscale up`, once on the host.
{ config, lib, ... }:
let
  cfg = config.fleet.settings.tailscale;
in
{
  services.tailscale = {
    enable = true;
    openFirewall = lib.mkDefault true;
    useRoutingFeatures = cfg.routing;
  };

  environment.etc."fleet/features/tailscale".text = "A private network; routes: ${cfg.routing}.\n";
}
