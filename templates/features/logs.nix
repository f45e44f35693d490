# Sends the journal to another host, so that one that is gone can still be asked why; with
# `mode: server` keeps what the others send.
{ config, lib, ... }:
let
  cfg = config.fleet.settings.logs;
  port = toString cfg.port;
  isServer = cfg.mode == "server";
  kept = "/var/log/fleet";

  # What the server does not take while it is away waits on the disk.
  send = ''
    *.* action(type="omfwd" target="${cfg.server}" port="${port}" protocol="tcp"
               template="RSYSLOG_SyslogProtocol23Format" action.resumeRetryCount="-1"
               queue.type="LinkedList" queue.filename="to-${cfg.server}"
               queue.maxDiskSpace="200m" queue.saveOnShutdown="on")
  '';
  # A host's name comes over the network: it is no path.
  keep = ''
    module(load="imtcp")
    template(name="host" type="string" string="${kept}/%HOSTNAME:::secpath-replace%.log")
    ruleset(name="fleet") { action(type="omfile" dynaFile="host") }
    input(type="imtcp" port="${port}" ruleset="fleet")
  '';
in
{
  services.rsyslogd = {
    enable = true;
    # What the host itself has to say stays in its journal.
    defaultConfig = "";
    extraConfig = if isServer then keep else send;
  };

  networking.firewall.allowedTCPPorts = lib.optional isServer cfg.port;
  services.logrotate.settings = lib.mkIf isServer {
    fleet = {
      files = "${kept}/*.log";
      frequency = "weekly";
      rotate = lib.mkDefault 12;
      compress = true;
      missingok = true;
      postrotate = "systemctl kill --signal=HUP syslog.service";
    };
  };

  fleet.ports = lib.optionalAttrs isServer { logs = cfg.port; };
  environment.etc."fleet/features/logs".text =
    if isServer then "Keeps logs, on port ${port}.\n" else "To ${cfg.server}, on port ${port}.\n";
}
