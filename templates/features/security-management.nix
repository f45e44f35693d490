# A host that people manage others from: what they do as root is asked for and written down.
{ ... }:
{
  security.sudo.extraConfig = ''
    Defaults timestamp_timeout=5
    Defaults use_pty
    Defaults logfile=/var/log/sudo.log
  '';

  # A shell that was forgotten ends.
  programs.bash.interactiveShellInit = "TMOUT=3600";

  environment.etc."fleet/features/security-management".text = "People manage others from it.\n";
}
