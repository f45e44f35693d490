# services.openssh: settings for the sshd that the lab host has.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.openssh;
  word = value: if builtins.isBool value then (if value then "yes" else "no") else toString value;
  words = value: builtins.concatStringsSep "," (map word (lib.toList value));
  line = name: value: "${name} ${words value}";

  keys = [
    ".ssh/authorized_keys"
    ".ssh/authorized_keys2"
    "/etc/ssh/authorized_keys.d/%u"
  ];

  value = types.oneOf [
    types.bool
    types.int
    types.str
    (types.listOf types.str)
  ];
  set = lib.filterAttrs (_: value: value != null) cfg.settings;
in
{
  options.services.openssh = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether sshd is configured. The lab's runs all the same: it is the way in.";
    };
    startWhenNeeded = mkOption {
      type = types.bool;
      default = false;
      description = "Whether a socket starts an sshd for each connection, in the place of the lab's own.";
    };
    ports = mkOption {
      type = types.listOf types.port;
      default = [ 22 ];
      description = "Where it listens.";
    };
    settings = mkOption {
      type = types.attrsOf (types.nullOr value);
      default = { };
      description = "sshd_config(5).";
    };
    hostKeys = mkOption {
      type = types.listOf types.attrs;
      default = [
        {
          type = "rsa";
          bits = 4096;
          path = "/etc/ssh/ssh_host_rsa_key";
        }
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
      ];
      description = "The host's keys. The lab gives each host one, of kind ed25519.";
    };
    authorizedKeysFiles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Where keys of those who may log in are, beside those that the lab's hosts have.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "Lines of sshd_config(5).";
    };
  };

  # As NixOS has them, but for sshd's empty root, which Debian's needs.
  config.systemd = lib.mkIf (cfg.enable && cfg.startWhenNeeded) {
    sockets.sshd = {
      description = "SSH Socket";
      wantedBy = [ "sockets.target" ];
      after = [ "ssh.service" ];
      socketConfig.ListenStream = cfg.ports;
      socketConfig.Accept = true;
      socketConfig.TriggerLimitIntervalSec = 0;
    };
    services."sshd@" = {
      description = "SSH per-connection Daemon";
      after = [ "network.target" ];
      stopIfChanged = false;
      serviceConfig = {
        ExecStart = "-/usr/sbin/sshd -i -D -f /etc/ssh/sshd_config";
        KillMode = "process";
        StandardInput = "socket";
        StandardError = "journal";
        RuntimeDirectory = "sshd";
        RuntimeDirectoryPreserve = true;
      };
    };
  };
  config.environment.etc."systemd/system/ssh.service" =
    lib.mkIf (cfg.enable && cfg.startWhenNeeded)
      { source = "/dev/null"; };
  config.environment.etc."ssh/sshd_config.d/50-nixos.conf" = lib.mkIf cfg.enable {
    text = lib.concatLines (
      lib.optionals (cfg.ports != [ 22 ]) (map (port: "Port ${toString port}") cfg.ports)
      ++ [ "AuthorizedKeysFile ${toString (keys ++ cfg.authorizedKeysFiles)}" ]
      ++ lib.mapAttrsToList line set
      ++ [ cfg.extraConfig ]
    );
  };
}
