# security.sudo: rules, as files in /etc/sudoers.d.
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
  };

  # sudo takes no file there that others may write, and reads links.
  config.environment.etc."sudoers.d/50-nixos" = lib.mkIf cfg.enable {
    text = lib.concatLines ([ wheel ] ++ builtins.concatMap rule cfg.extraRules);
    mode = "0440";
  };
}
