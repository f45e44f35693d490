# Serves films and music. Where they lie is the host's affair.
{ ... }:
{
  services.jellyfin = {
    enable = true;
    openFirewall = true;
  };

  # Files that people add are the service's to read.
  users.groups.media = { };
  users.users.jellyfin.extraGroups = [ "media" ];

  fleet.ports.media-server = 8096;
  environment.etc."fleet/features/media-server".text = "Serves films and music, on port 8096.\n";
}
