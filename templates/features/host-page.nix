# A page that says what the host is, on port 8080.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) concatStringsSep mapAttrsToList;
  cfg = config.fleet;
  port = 8080;

  row = name: value: "<tr><th>${name}<td>${value}";
  ports = mapAttrsToList (name: number: "${name} ${toString number}") cfg.ports;
  rows = [
    (row "template" (if cfg.template == null then "none" else cfg.template))
    (row "profiles" (concatStringsSep ", " cfg.profiles))
    (row "features" (concatStringsSep ", " cfg.features))
    (row "roles" (concatStringsSep ", " cfg.roles))
    (row "ports" (concatStringsSep ", " ports))
  ];

  page = pkgs.writeTextDir "index.html" ''
    <!doctype html>
    <meta charset="utf-8">
    <title>${cfg.name}</title>
    <h1>${cfg.name}</h1>
    <table>
    ${concatStringsSep "\n" rows}
    </table>
  '';
in
{
  fleet.ports.host-page = port;
  networking.firewall.allowedTCPPorts = [ port ];

  systemd.services.host-page = {
    description = "A page that says what this host is";
    wantedBy = [ "multi-user.target" ];
    after = [ "network.target" ];
    serviceConfig = {
      ExecStart = "${pkgs.busybox}/bin/busybox httpd -f -p ${toString port} -h ${page}";
      DynamicUser = true;
      Restart = "on-failure";
    };
  };
}
