# home-manager.users: homes of a host's users, with Home Manager's options and in its way: a unit for
# each user activates the home at boot and where it changed.
# https://github.com/nix-community/home-manager (nixos/common.nix and nixos/default.nix of 25.05)
{
  config,
  lib,
  modulesPath,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;
  cfg = config.home-manager;

  ownModule =
    { name, ... }:
    {
      imports = [
        "${modulesPath}/assertions.nix"
        (import ./home.nix (import "${modulesPath}/carry.nix" { inherit lib; }))
      ]
      ++ cfg.sharedModules;
      home.username = config.users.users.${name}.name;
      home.homeDirectory = config.users.users.${name}.home;
    };

  eachUsers =
    field: toMessage:
    lib.flatten (lib.mapAttrsToList (name: home: map (toMessage name) home.${field}) cfg.users);
in
{
  options.home-manager = {
    useGlobalPkgs = mkEnableOption "the host's packages, which are all that there are here";
    useUserPackages = mkEnableOption "packages by way of users.users.NAME.packages";
    backupFileExtension = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "What files that are in the way are renamed with; null: they are an error.";
    };
    extraSpecialArgs = mkOption {
      type = types.attrs;
      default = { };
      description = "More arguments of every home's modules.";
    };
    sharedModules = mkOption {
      type = types.listOf types.raw;
      default = [ ];
      description = "Modules that every home has.";
    };
    users = mkOption {
      type = types.attrsOf (
        types.submoduleWith {
          carried = import ./carried.nix;
          specialArgs = {
            inherit pkgs;
            osConfig = config;
            nixosConfig = config;
          }
          // cfg.extraSpecialArgs;
          modules = [ ownModule ];
        }
      );
      default = { };
      description = "Homes, by their users' names.";
    };
  };

  config = lib.mkIf (cfg.users != { }) {
    assertions = eachUsers "assertions" (
      name: one: {
        inherit (one) assertion;
        message = "${name} profile: ${one.message}";
      }
    );
    warnings = eachUsers "warnings" (name: one: "${name} profile: ${one}");

    users.users = lib.mkIf cfg.useUserPackages (
      lib.mapAttrs (_: home: { packages = [ home.home.path ]; }) cfg.users
    );

    systemd.services = lib.mapAttrs' (
      _: home:
      lib.nameValuePair "home-manager-${home.home.username}" {
        description = "Home Manager environment for ${home.home.username}";
        wantedBy = [ "multi-user.target" ];
        wants = [ "nix-daemon.socket" ];
        after = [ "nix-daemon.socket" ];
        before = [ "systemd-user-sessions.service" ];
        stopIfChanged = false;
        environment.HOME_MANAGER_BACKUP_EXT = cfg.backupFileExtension;
        unitConfig.RequiresMountsFor = home.home.homeDirectory;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = "yes";
          TimeoutStartSec = "5m";
          User = home.home.username;
          ExecStart = "${home.home.activationPackage}/activate";
        };
      }
    ) cfg.users;
  };
}
