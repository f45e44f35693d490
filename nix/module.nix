# services.orchestrator.watch: what waits for hosts is delivered as soon as they answer.
flake:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;
  cfg = config.services.orchestrator.watch;
  user = config.users.users.${cfg.user};
  # systemd takes `%` and spaces in paths for something else.
  folder = types.strMatching "/[^%[:space:]\"'\\]*";
in
{
  options.services.orchestrator.watch = {
    enable = mkEnableOption "the delivery of what waits for unreachable hosts";
    package = mkOption {
      type = types.package;
      default = flake.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = lib.literalExpression "the flake's own package";
      description = "The package with the program.";
    };
    fleet = mkOption {
      type = folder;
      example = "/srv/fleet";
      description = "The fleet's folder, on this machine: a path in quotes, so that it is not copied.";
    };
    user = mkOption {
      type = types.str;
      example = "deploy";
      description = ''
        Who deploys: an account of this machine that reaches the hosts without being asked for a
        passphrase. What waits is in its home, where the same user's deployments leave it.
      '';
    };
    interval = mkOption {
      type = types.strMatching "[0-9]+(s|m|h|d)?";
      default = "1m";
      description = ''
        Time before a host is tried again. It doubles with each try that gets no answer, up to 15
        minutes.
      '';
    };
    environment = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        SSH_AUTH_SOCK = "/run/user/1000/ssh-agent";
      };
      description = "More variables. Everybody on this machine can read them.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !lib.hasPrefix builtins.storeDir cfg.fleet;
        message = "services.orchestrator.watch.fleet is a copy in the store: write the path in quotes.";
      }
      {
        assertion = user.isNormalUser || user.isSystemUser || cfg.user == "root";
        message = "services.orchestrator.watch.user: there is no account ${cfg.user}.";
      }
    ];

    # The folders that it writes are there before it starts; what is there keeps its mode.
    systemd.tmpfiles.rules = map (below: "d ${user.home}/${below} :0755 :${cfg.user} - -") [
      ".cache"
      ".local"
      ".local/state"
    ];

    systemd.services.orchestrator-watch = {
      description = "Deliver what waits for unreachable hosts";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "nix-daemon.socket"
      ];
      path = [ config.nix.package ];
      environment = {
        # The store is read-only here, for root as well.
        NIX_REMOTE = "daemon";
      }
      // cfg.environment;
      # A deployment of this machine must not cut off one that it makes.
      restartIfChanged = false;

      serviceConfig = {
        Type = "notify";
        User = cfg.user;
        WorkingDirectory = cfg.fleet;
        ExecStart = "${lib.getExe cfg.package} pending deliver --watch --fleet ${cfg.fleet} --interval ${cfg.interval}";
        Restart = "on-failure";
        RestartSec = "30s";
        WatchdogSec = "5min";
        # SIGTERM to the service only, and time to bring a host to a proven state.
        KillMode = "mixed";
        TimeoutStopSec = "30min";

        # It writes the fleet's fleet.json, what it remembers, and Nix's cache; all else it reads.
        ProtectSystem = "strict";
        ProtectHome = "read-only";
        ReadWritePaths = [
          cfg.fleet
          "${user.home}/.cache"
          "${user.home}/.local/state"
        ];
        CapabilityBoundingSet = "";
        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = "@system-service";
      };
    };
  };
}
