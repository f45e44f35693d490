# security.sudo: rules, as files in /etc/sudoers.d. security.wrappers: programs with rights that no file in
# the store can have, in /run/wrappers.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.security.sudo;
  text = value: if builtins.isInt value then "#${toString value}" else value;
  command =
    one:
    if builtins.isString one then
      one
    else
      lib.concatStrings (map (option: "${option}:") (one.options or [ ])) + one.command;
  rule =
    one:
    let
      who = map text (one.users or [ ]) ++ map (group: "%${text group}") (one.groups or [ ]);
      may = lib.concatMapStringsSep ", " command one.commands;
    in
    map (name: "${name} ${one.host or "ALL"}=(${one.runAs or "ALL:ALL"}) ${may}") who;
  wrapper =
    name: one:
    let
      mode = "${lib.optionalString (one.setuid or false) "u+s,"}${one.permissions or "u+rx,g+x,o+x"}";
    in
    ''
      cp -L ${one.source} "$next/${name}"
      chown ${one.owner}:${one.group} "$next/${name}"
      chmod ${mode} "$next/${name}"
    '';
  wheel = "%wheel ALL=(ALL:ALL) ${lib.optionalString (!cfg.wheelNeedsPassword) "NOPASSWD: "}ALL";
in
{
  options.security.sudo = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether rules are written.";
    };
    wheelNeedsPassword = mkOption {
      type = types.bool;
      default = true;
      description = "Whether sudo asks members of wheel for their password.";
    };
    extraRules = mkOption {
      type = types.listOf types.attrs;
      default = [ ];
      description = "Rules: { users, groups, host, runAs, commands }.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "Lines of sudoers(5).";
    };
  };

  options.security.wrappers = mkOption {
    type = types.attrsOf types.attrs;
    default = { };
    description = "Programs in /run/wrappers/bin: those that are named; NixOS has sudo's and others itself.";
  };

  config.systemd.services.suid-sgid-wrappers = lib.mkIf (config.security.wrappers != { }) {
    description = "Create SUID/SGID Wrappers";
    wantedBy = [ "multi-user.target" ];
    before = [ "ssh.service" ];
    after = [ "generation-boot.service" ];
    unitConfig.DefaultDependencies = false;
    serviceConfig.Type = "oneshot";
    serviceConfig.RemainAfterExit = true;
    script = ''
      PATH=/usr/sbin:/usr/bin:/sbin:/bin
      mkdir -p /run/wrappers
      grep -q ' /run/wrappers ' /proc/mounts || mount -t tmpfs -o mode=755,nodev tmpfs /run/wrappers
      next=$(mktemp -d /run/wrappers/wrappers.XXXXXXXXXX)
      chmod 755 "$next"
      ${lib.concatStrings (lib.mapAttrsToList wrapper config.security.wrappers)}
      last=$(readlink /run/wrappers/bin || :)
      ln -sfn "$next" /run/wrappers/bin.new
      mv -T /run/wrappers/bin.new /run/wrappers/bin
      [ ! -d "$last" ] || rm -rf "$last"
    '';
  };

  # sudo takes no file there that others may write, and reads links.
  config.environment.etc."sudoers.d/50-nixos" = lib.mkIf cfg.enable {
    text = lib.concatLines ([ wheel ] ++ builtins.concatMap rule cfg.extraRules ++ [ cfg.extraConfig ]);
    mode = "0440";
  };
}
