# Tells the monitoring server how the host is.
{ ... }:
let
  port = 9100;
in
{
  services.prometheus.exporters.node = {
    enable = true;
    inherit port;
    openFirewall = true;
    enabledCollectors = [ "systemd" ];
  };

  fleet.ports.node-exporter = port;
  environment.etc."fleet/features/node-exporter".text = "Tells how it is, on port ${toString port}.\n";
}
