# Says how the host is; with `mode: server` also collects what the others say.
{
  config,
  inventory,
  lib,
  ...
}:
let
  inherit (config.fleet) name settings;
  cfg = settings.monitoring;
  isServer = cfg.mode == "server";
  port = 9090;

  # Those that say it to this host: itself, and the clients that name it.
  of = host: host.settings.monitoring or { };
  isWatched = other: host: other == name || (of host).server or null == name;
  watched = lib.filterAttrs isWatched inventory.hosts;
  target = other: host: "${other}:${toString (of host).port}";
in
{
  services.prometheus = {
    exporters.node = {
      enable = true;
      inherit (cfg) port;
      openFirewall = !isServer;
      enabledCollectors = [ "systemd" ];
    };

    enable = isServer;
    inherit port;
    scrapeConfigs = lib.optional isServer {
      job_name = "node";
      static_configs = [ { targets = lib.mapAttrsToList target watched; } ];
    };
  };
  networking.firewall.allowedTCPPorts = lib.optional isServer port;

  fleet.ports = {
    monitoring = cfg.port;
  }
  // lib.optionalAttrs isServer { monitoring-server = port; };

  # A client that comes or goes changes its server too, and it should be seen why.
  environment.etc."fleet/features/monitoring".text =
    if isServer then
      lib.concatLines (lib.attrNames watched)
    else
      "To ${cfg.server}, on port ${toString cfg.port}.\n";
}
