# The user parts of profiles: Home Manager as a part of the system. flake.nix imports this file, and
# Home Manager itself, where some user of the host has a profile.
{ config, lib, ... }:
let
  users = lib.filterAttrs (_: user: user.profiles != [ ]) config.fleet.users;
in
{
  home-manager = {
    useGlobalPkgs = true;
    useUserPackages = true;
    # What a person put where a file of the profile goes is kept beside it.
    backupFileExtension = lib.mkDefault "before";
    users = lib.mapAttrs (_: user: {
      imports = map (profile: ./${profile}.nix) user.profiles;
      home.stateVersion = lib.mkDefault config.system.stateVersion;
    }) users;
  };
}
