# Shows in a browser what the monitoring of this host has collected.
{ config, lib, ... }:
let
  inherit (config.fleet.settings.web-dashboard) port;
  prometheus = "http://127.0.0.1:9090";
  key = "/var/lib/grafana/secret-key";
in
{
  services.grafana = {
    enable = true;
    settings = {
      server.http_addr = "0.0.0.0";
      server.http_port = port;
      # Grafana reads it when it starts; the store does not have it.
      security.secret_key = "$__file{${key}}";
      analytics.reporting_enabled = false;
    };
    provision.datasources.settings.datasources = [
      {
        name = "Prometheus";
        type = "prometheus";
        url = prometheus;
      }
    ];
  };

  # Of its own making: nobody else has a use for it.
  systemd.services.grafana-key = {
    description = "Make the key that Grafana encrypts with";
    requiredBy = [ "grafana.service" ];
    before = [ "grafana.service" ];
    script = ''
      [ -e ${key} ] || head --bytes=32 /dev/urandom | base64 > ${key}
    '';
    serviceConfig = {
      Type = "oneshot";
      User = "grafana";
      UMask = "0077";
    };
  };
  networking.firewall.allowedTCPPorts = [ port ];

  fleet.ports.web-dashboard = port;
  environment.etc."fleet/features/web-dashboard".text =
    "Grafana, on port ${toString port}, of ${prometheus}\n";
}
