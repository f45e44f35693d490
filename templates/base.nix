# What every host of the fleet has. Each template imports this file.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    any
    concatMap
    elem
    filter
    mkDefault
    mkIf
    mkOption
    types
    ;
  cfg = config.fleet;
  users = builtins.attrValues cfg.users;

  shell = named: if lib.hasPrefix "/" named then named else pkgs.${named};
  someoneUses = named: any (user: user.shell == named) users;

  # Whose password is a secret: its hash is in secrets/NAME-password.age.
  passwordOf = name: ../secrets/${name}-password.age;
  withPassword = lib.filterAttrs (name: _: builtins.pathExists (passwordOf name)) cfg.users;

  user = types.submodule {
    options = {
      groups = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Groups beside the user's own.";
      };
      shell = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "Login shell, by its package's name or its path; null: the system's.";
      };
      ssh_keys = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Public keys that may log in as this user.";
      };
      profiles = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Profiles whose user part this user has here.";
      };
    };
  };

  names =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };
in
{
  imports = [ ./hardware.nix ];

  options.fleet = {
    name = mkOption {
      type = types.str;
      description = "The host's name in the inventory.";
    };
    template = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "What kind of machine the host is.";
    };
    profiles = names "What the host is used for.";
    features = names "Single abilities of the host.";
    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = "By feature, what the inventory says to it; each value is there, as its schema has defaults.";
    };
    roles = names "What the host does for the rest of the fleet.";
    tags = names "Free labels, for selectors.";
    hardware = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = "What the machine is built of, such as cpu and gpu.";
    };
    stateVersion = mkOption {
      type = types.str;
      description = "The NixOS release that the host was installed with.";
    };
    users = mkOption {
      type = types.attrsOf user;
      default = { };
      description = "Accounts that the inventory gives the host.";
    };
    adminKeys = mkOption {
      type = types.listOf types.str;
      default = concatMap (user: user.ssh_keys) (filter (user: elem "wheel" user.groups) users);
      description = "Keys that may deploy: those of everybody who may become root here.";
    };
    bundles = mkOption {
      # Each may have those of another one.
      type = types.lazyAttrsOf (types.listOf types.package);
      default = { };
      description = "Packages on the path, by the bundle that brings them.";
    };
    ports = mkOption {
      type = types.attrsOf types.port;
      default = { };
      description = "What answers on this host, and where. Told to people, opened by nobody.";
    };
  };

  config = {
    networking.hostName = cfg.name;
    system.stateVersion = mkDefault cfg.stateVersion;

    # Decrypted before accounts are made; root's, and nobody else reads it.
    age.secrets = lib.mapAttrs' (
      name: _: lib.nameValuePair "${name}-password" { file = passwordOf name; }
    ) withPassword;
    # Such a password is what the secret says, and not what somebody once typed on the host.
    users.mutableUsers = mkIf (withPassword != { }) (mkDefault false);

    users.users = lib.mapAttrs (
      name: user:
      {
        isNormalUser = true;
        extraGroups = user.groups;
        openssh.authorizedKeys.keys = user.ssh_keys;
      }
      // lib.optionalAttrs (user.shell != null) { shell = shell user.shell; }
      // lib.optionalAttrs (withPassword ? ${name}) {
        hashedPasswordFile = config.age.secrets."${name}-password".path;
      }
    ) cfg.users;

    # NixOS refuses a login shell that is not set up as one.
    programs.fish.enable = mkIf (someoneUses "fish") (mkDefault true);
    programs.zsh.enable = mkIf (someoneUses "zsh") (mkDefault true);

    # Without sshd there is no next deployment; with passwords there are guests.
    services.openssh = {
      enable = true;
      settings = {
        PasswordAuthentication = mkDefault false;
        PermitRootLogin = mkDefault "prohibit-password";
      };
    };

    nix.settings.experimental-features = [
      "nix-command"
      "flakes"
    ];

    # A full /boot leaves a host running what it cannot boot: keep few generations there.
    boot.loader.systemd-boot.configurationLimit = mkDefault 10;

    environment.systemPackages = [
      pkgs.git
      pkgs.vim
    ]
    ++ lib.unique (lib.concatLists (lib.attrValues cfg.bundles));

    # What a bundle weighs: build `config.system.build.bundles.NAME`, then `nix path-info -S`.
    system.build.bundles = lib.mapAttrs (
      name: packages: pkgs.writeText name (lib.concatMapStrings (package: "${package}\n") packages)
    ) cfg.bundles;

    environment.etc."fleet/host.json".text = builtins.toJSON {
      inherit (cfg)
        name
        template
        profiles
        features
        settings
        roles
        tags
        hardware
        ports
        ;
      users = builtins.attrNames cfg.users;
    };
  };
}
