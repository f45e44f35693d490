# systemd.services, sockets and timers: unit files below /etc/systemd/system; and a user's services.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  list =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };
  text =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };
  section =
    description:
    mkOption {
      type = types.attrsOf types.anything;
      default = { };
      inherit description;
    };
  flag =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };

  common = {
    enable = flag true "Whether the unit is there.";
    description = mkOption {
      type = types.str;
      default = "";
      description = "What the unit is, in a few words.";
    };
    wantedBy = list "Units that start it.";
    requiredBy = list "Units that do not start without it.";
    wants = list "Units that it starts.";
    requires = list "Units that it does not start without.";
    after = list "Units that start before it.";
    before = list "Units that start after it.";
    conflicts = list "Units that may not run beside it.";
    partOf = list "Units with which it is stopped and restarted.";
    unitConfig = section "The section [Unit].";
    restartTriggers = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
      description = "What restarts the unit when it changes.";
    };
    reloadTriggers = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
      description = "What reloads the unit when it changes.";
    };
  };

  service = {
    options = common // {
      serviceConfig = section "The section [Service].";
      environment = mkOption {
        type = types.attrsOf (types.nullOr (types.either types.str (types.either types.path types.package)));
        default = { };
        description = "Environment variables.";
      };
      path = mkOption {
        type = types.listOf types.unspecified;
        default = [ ];
        description = "Packages on its path.";
      };
      script = text "What it runs, where `ExecStart` is not set.";
      preStart = text "What runs before.";
      postStart = text "What runs once it is started.";
      preStop = text "What runs before it is stopped.";
      postStop = text "What runs once it is stopped.";
      restartIfChanged = flag true "Whether a changed unit is restarted on activation.";
      reloadIfChanged = flag false "Whether it is reloaded instead.";
      stopIfChanged = flag true "Whether a changed unit is stopped before activation and started after it.";
    };
  };

  timer.options = common // {
    timerConfig = section "The section [Timer].";
  };
  socket.options = common // {
    socketConfig = section "The section [Socket].";
  };

  value = one: if builtins.isBool one then lib.boolToString one else toString one;
  lines =
    set:
    lib.concatStrings (
      lib.mapAttrsToList (
        name: one: lib.concatMapStrings (each: "${name}=${value each}\n") (lib.toList one)
      ) (lib.filterAttrs (_: one: one != null) set)
    );
  head =
    unit:
    lines (
      lib.filterAttrs (_: one: one != "" && one != [ ]) {
        Description = unit.description;
        Wants = builtins.concatStringsSep " " unit.wants;
        Requires = builtins.concatStringsSep " " unit.requires;
        After = builtins.concatStringsSep " " unit.after;
        Before = builtins.concatStringsSep " " unit.before;
        Conflicts = builtins.concatStringsSep " " unit.conflicts;
        PartOf = builtins.concatStringsSep " " unit.partOf;
        X-Restart-Triggers = builtins.concatStringsSep " " (map toString unit.restartTriggers);
        X-Reload-Triggers = builtins.concatStringsSep " " (map toString unit.reloadTriggers);
      }
      // unit.unitConfig
    );

  scriptOf =
    name: kind: body:
    lib.optionalAttrs (body != "") {
      ${kind} = "${pkgs.writeShellScript "unit-script-${name}" "set -e\n${body}"}";
    };
  serviceText =
    name: unit:
    let
      # Always set, as NixOS does: systemd's own has nothing.
      path = lib.concatMapStrings (one: "${one}/bin:") unit.path;
      environment =
        {
          PATH = "${path}/usr/sbin:/usr/bin:/sbin:/bin";
        }
        // unit.environment;
      scripts =
        scriptOf name "ExecStart" unit.script
        // scriptOf "${name}-pre-start" "ExecStartPre" unit.preStart
        // scriptOf "${name}-post-start" "ExecStartPost" unit.postStart
        // scriptOf "${name}-pre-stop" "ExecStop" unit.preStop
        // scriptOf "${name}-post-stop" "ExecStopPost" unit.postStop;
      flags =
        lib.optionalString (!unit.restartIfChanged) "X-RestartIfChanged=false\n"
        + lib.optionalString unit.reloadIfChanged "X-ReloadIfChanged=true\n"
        + lib.optionalString (!unit.stopIfChanged) "X-StopIfChanged=false\n";
      # Quoted as JSON quotes, which systemd reads too.
      setting = key: one: "Environment=${builtins.toJSON "${key}=${toString one}"}\n";
      settings = lib.concatStrings (
        lib.mapAttrsToList setting (lib.filterAttrs (_: one: one != null) environment)
      );
    in
    ''
      [Unit]
      ${head unit}
      [Service]
      ${flags}${settings}${lines (scripts // unit.serviceConfig)}
    '';
  otherText = kind: config: unit: ''
    [Unit]
    ${head unit}
    [${kind}]
    ${lines config}
  '';

  enabled = lib.filterAttrs (_: unit: unit.enable);
  unitFiles =
    lib.mapAttrs' (
      name: unit:
      lib.nameValuePair "${name}.service" {
        inherit unit;
        text = serviceText name unit;
      }
    ) (enabled config.systemd.services)
    // lib.mapAttrs' (
      name: unit:
      lib.nameValuePair "${name}.timer" {
        inherit unit;
        text = otherText "Timer" unit.timerConfig unit;
      }
    ) (enabled config.systemd.timers)
    // lib.mapAttrs' (
      name: unit:
      lib.nameValuePair "${name}.socket" {
        inherit unit;
        text = otherText "Socket" unit.socketConfig unit;
      }
    ) (enabled config.systemd.sockets);
  linksOf =
    name: unit:
    map (by: "${by}.wants/${name}") unit.wantedBy ++ map (by: "${by}.requires/${name}") unit.requiredBy;
  wants = lib.unique (
    lib.concatLists (lib.mapAttrsToList (name: one: linksOf name one.unit) unitFiles)
  );
  # A user's: that a target wants one is a file of the same text, which /etc has a link to.
  userFiles = lib.mergeAttrsList (
    lib.mapAttrsToList (
      name: unit:
      lib.genAttrs (map (file: "systemd/user/${file}") (
        [ "${name}.service" ] ++ linksOf "${name}.service" unit
      )) (_: { text = serviceText name unit; })
    ) (enabled config.systemd.user.services)
  );
  unitLine =
    name: one:
    "${name} ${if one.unit.wantedBy ++ one.unit.requiredBy == [ ] then "-" else "wanted"}";
in
{
  options.systemd.services = mkOption {
    type = types.attrsOf (types.submodule service);
    default = { };
    description = "Services.";
  };
  options.systemd.timers = mkOption {
    type = types.attrsOf (types.submodule timer);
    default = { };
    description = "Timers.";
  };

  options.systemd.sockets = mkOption {
    type = types.attrsOf (types.submodule socket);
    default = { };
    description = "Sockets.";
  };
  options.systemd.user.services = mkOption {
    type = types.attrsOf (types.submodule service);
    default = { };
    description = "Services of users' own managers.";
  };

  config.environment.etc =
    lib.mapAttrs' (name: one: lib.nameValuePair "systemd/system/${name}" { inherit (one) text; }) unitFiles
    // userFiles
    // {
      "systemd/system/sysinit-reactivation.target".text = "[Unit]\nDescription=Reactivate sysinit units\n";
    };

  # Units of this generation, a line each: its name, and whether something starts it.
  config.system.build.units = lib.concatLines (lib.mapAttrsToList unitLine unitFiles);
  config.system.build.unitWants = lib.concatLines wants;
}
