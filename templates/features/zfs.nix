# ZFS: pools that find their own faults, by checksums.
{ config, lib, ... }:
let
  inherit (config.fleet) name settings;
in
{
  boot.supportedFilesystems = [ "zfs" ];
  boot.zfs.extraPools = settings.zfs.pools;
  # A pool that another machine has in use is not taken from it.
  boot.zfs.forceImportRoot = lib.mkDefault false;
  # Says to ZFS which machine this is: the same for as long as the host has its name.
  networking.hostId = lib.mkDefault (builtins.substring 0 8 (builtins.hashString "sha256" name));

  services.zfs = {
    autoScrub.enable = lib.mkDefault true;
    trim.enable = lib.mkDefault true;
  };

  environment.etc."fleet/features/zfs".text = lib.concatLines settings.zfs.pools;
}
