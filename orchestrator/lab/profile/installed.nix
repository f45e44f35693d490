# What each host of the lab runs after the installer: who may deploy to it, and nothing else.
{ ... }:
{
  networking.hostName = "";
  system.name = "installed";
  services.openssh.enable = true;
  boot.loader.systemd-boot.enable = true;
  users.users.deploy = {
    isSystemUser = true;
    group = "deploy";
    home = "/var/lib/deploy";
    createHome = true;
    useDefaultShell = true;
  };
  users.groups.deploy = { };
  security.sudo.extraRules = [
    {
      users = [ "deploy" ];
      commands = [
        {
          command = "ALL";
          options = [ "NOPASSWD" ];
        }
      ];
    }
  ];
  nix.settings.trusted-users = [ "deploy" ];
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
}
