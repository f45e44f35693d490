# A machine without a person in front of it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkDefault;
in
{
  imports = [ ./base.nix ];

  boot.loader.systemd-boot.enable = mkDefault true;
  boot.loader.efi.canTouchEfiVariables = mkDefault true;

  time.timeZone = mkDefault "UTC";

  # Nobody logs in as root; deployments come as this user and ask sudo.
  users.users.deploy = {
    isSystemUser = true;
    group = "deploy";
    home = "/var/lib/deploy";
    createHome = true;
    useDefaultShell = true;
    openssh.authorizedKeys.keys = config.fleet.adminKeys;
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
  # It hands over store paths that no key has signed.
  nix.settings.trusted-users = [ "deploy" ];

  # Its logs are read after the fact, and must not fill its disk.
  services.journald.extraConfig = "SystemMaxUse=1G";

  environment.systemPackages = [ pkgs.tmux ];

  environment.etc."fleet/template".text = "server\n";
}
