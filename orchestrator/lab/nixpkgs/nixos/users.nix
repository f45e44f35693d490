# users.users and users.groups: accounts are made as declared, and those that are there made so. With
# `mutableUsers` set to false a password that is declared replaces what is there, on each activation, as
# NixOS has it; what it never heard of stays nevertheless, since the lab's own accounts are declared
# nowhere.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;

  string =
    default: description:
    mkOption {
      type = types.str;
      inherit default description;
    };

  user =
    { name, config, ... }:
    {
      config.home = lib.mkIf config.isNormalUser (lib.mkDefault "/home/${config.name}");
      options = {
        name = string name "The login.";
        description = string "" "The person's name.";
        isNormalUser = mkEnableOption "a person's account";
        isSystemUser = mkEnableOption "a service's account";
        createHome = mkEnableOption "making the home folder";
        useDefaultShell = mkEnableOption "the default shell";
        uid = mkOption {
          type = types.nullOr types.int;
          default = null;
          description = "The number; the next free one where it is null.";
        };
        group = string "" "The first group.";
        extraGroups = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "More groups.";
        };
        home = mkOption {
          type = types.nullOr types.path;
          default = null;
          description = "The home folder.";
        };
        shell = mkOption {
          type = types.nullOr (types.either types.package types.path);
          default = null;
          description = "The login shell.";
        };
        expires = mkOption {
          type = types.nullOr (types.strMatching "[[:digit:]]{4}-[[:digit:]]{2}-[[:digit:]]{2}");
          default = null;
          description = "The day on which the account expires.";
        };
        packages = mkOption {
          type = types.listOf types.package;
          default = [ ];
          description = "Packages on this user's path.";
        };
        hashedPassword = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "As crypt(5) has it.";
        };
        hashedPasswordFile = mkOption {
          type = types.nullOr types.str;
          default = null;
          description = "A file on the host with the same; it wins.";
        };
        openssh.authorizedKeys.keys = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Keys that may log in.";
        };
      };
    };

  group = {
    options.gid = mkOption {
      type = types.nullOr types.int;
      default = null;
      description = "The number.";
    };
    options.members = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Who is in it.";
    };
  };

  quote = lib.escapeShellArg;
  # One that is neither belongs to a service that is only carried here: its module would say more.
  wanted = lib.filterAttrs (
    name: one: name != "root" && (one.isNormalUser || one.isSystemUser)
  ) config.users.users;

  hasPassword = one: one.hashedPassword != null || one.hashedPasswordFile != null;
  makeGroup = name: "group ${quote name}";
  # A person's first group is `users`, as in NixOS.
  firstGroup = one: if one.group == "" && one.isNormalUser then "users" else one.group;
  groupsOf = one: lib.optional (firstGroup one != "") (firstGroup one) ++ one.extraGroups;
  shellOf =
    one:
    if one.shell == null then
      if one.isSystemUser && !one.useDefaultShell then "/usr/sbin/nologin" else "/bin/bash"
    else if lib.isDerivation one.shell then
      lib.getExe one.shell
    else
      toString one.shell;
  homeOf = one: if one.home != null then toString one.home else "/var/empty";
  makeUser =
    name: one:
    let
      words = [
        name
        (shellOf one)
        (homeOf one)
        (if one.isNormalUser || one.createHome then "-m" else "-M")
        (firstGroup one)
        (if one.uid == null then "" else toString one.uid)
      ];
    in
    lib.concatLines (
      map makeGroup (groupsOf one)
      ++ [ "user ${lib.escapeShellArgs words}" ]
      ++ lib.optional (hasPassword one) "password ${
        lib.escapeShellArgs [
          name
          (if config.users.mutableUsers then "new" else "always")
          (toString one.hashedPasswordFile)
          (toString one.hashedPassword)
        ]
      }"
      ++ [
        "member ${
          lib.escapeShellArgs [
            name
            (builtins.concatStringsSep "," (groupsOf one))
            (toString (builtins.attrNames config.users.groups))
          ]
        }"
      ]
    );
  # In the form of NixOS's users-groups.json, of which its script makes the accounts.
  account = name: one: {
    inherit name;
    inherit (one)
      uid
      description
      createHome
      isSystemUser
      expires
      hashedPassword
      hashedPasswordFile
      ;
    group = firstGroup one;
    home = homeOf one;
    shell = shellOf one;
  };
  spec = builtins.toFile "users-groups.json" (
    builtins.unsafeDiscardStringContext (
      builtins.toJSON {
        inherit (config.users) mutableUsers;
        users = lib.mapAttrsToList account (wanted // { inherit (config.users.users) root; });
        groups = lib.mapAttrsToList (name: one: {
          inherit name;
          members =
            one.members
            ++ builtins.attrNames (lib.filterAttrs (_: user: builtins.elem name user.extraGroups) wanted);
        }) config.users.groups;
      }
    )
  );
in
{
  options.users.mutableUsers = mkOption {
    type = types.bool;
    default = true;
    description = "Whether what somebody changed on the host stays.";
  };
  options.users.users = mkOption {
    type = types.attrsOf (types.submodule user);
    default = { };
    description = "Accounts.";
  };
  options.users.groups = mkOption {
    type = types.attrsOf (types.submodule group);
    default = { };
    description = "Groups.";
  };

  config = {
    assertions = lib.mapAttrsToList (name: one: {
      assertion = !(one.isNormalUser && one.isSystemUser);
      message = "users.users.${name} is both a person's account and a service's: set one of isNormalUser and isSystemUser.";
    }) config.users.users;

    # Some of those that are on every NixOS.
    users.users.root = {
      uid = 0;
      group = "root";
      home = "/root";
    };
    users.groups = lib.genAttrs [
      "keys"
      "root"
      "users"
      "wheel"
    ] (_: { });

    environment.etc =
      lib.mapAttrs' (
        name: one:
        lib.nameValuePair "ssh/authorized_keys.d/${name}" {
          text = lib.concatLines one.openssh.authorizedKeys.keys;
          mode = "0444";
        }
      ) (lib.filterAttrs (_: one: one.openssh.authorizedKeys.keys != [ ]) config.users.users)
      // lib.mapAttrs' (
        name: one:
        lib.nameValuePair "profiles/per-user/${name}" {
          source = pkgs.buildEnv {
            name = "user-environment";
            paths = one.packages;
          };
        }
      ) (lib.filterAttrs (_: one: one.packages != [ ]) config.users.users);

    system.activationScripts.users.text = lib.concatStrings (
      [ "${builtins.readFile ./users.sh}\n" ]
      ++ map (name: "${makeGroup name}\n") (builtins.attrNames config.users.groups)
      ++ lib.mapAttrsToList makeUser wanted
      ++ [ "declared ${lib.escapeShellArgs ([ "root" ] ++ builtins.attrNames wanted)}\n" ]
    );
    system.build.usersSpec = spec;
  };
}
