# Collects what the node exporters of the fleet tell.
{ inventory, lib, ... }:
let
  inherit (lib)
    attrNames
    concatStringsSep
    elem
    filterAttrs
    ;
  port = 9090;

  watched = attrNames (filterAttrs (_: host: elem "node-exporter" host.features) inventory.hosts);
in
{
  services.prometheus = {
    enable = true;
    inherit port;
    scrapeConfigs = [
      {
        job_name = "node";
        static_configs = [ { targets = map (name: "${name}:9100") watched; } ];
      }
    ];
  };
  networking.firewall.allowedTCPPorts = [ port ];

  fleet.ports.monitoring-server = port;
  # A host that gains or loses its exporter changes this host too, and it should be seen why.
  environment.etc."fleet/features/monitoring-server".text = concatStringsSep "\n" watched + "\n";
}
