# Says how the host is, on port 8081 of the host itself, to who has the token.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  port = 8081;
  busybox = "${pkgs.busybox}/bin/busybox";
  secrets = config.age.secrets;

  said = pkgs.writeTextDir "host.json" config.environment.etc."fleet/host.json".text;
in
{
  # The token is the service's to read; the environment is systemd's, which reads it as root.
  age.secrets.status-token = {
    file = ../../secrets/status-token.age;
    owner = "status-api";
    group = "status-api";
    mode = "0400";
  };
  age.secrets.status-environment.file = ../../secrets/status-environment.age;

  users.users.status-api = {
    isSystemUser = true;
    group = "status-api";
  };
  users.groups.status-api = { };

  fleet.ports.status-api = port;

  systemd.services.status-api = {
    description = "How this host is, for who has the token";
    wantedBy = [ "multi-user.target" ];
    after = [ "network.target" ];
    # A new value is read by a new start.
    restartTriggers = [
      "${secrets.status-token.file}"
      "${secrets.status-environment.file}"
    ];
    # `echo` is the shell's own: no process has the token among its arguments.
    script = ''
      token=$(cat ${secrets.status-token.path})
      echo "/:$STATUS_USER:$token" > "$RUNTIME_DIRECTORY/httpd.conf"
      exec ${busybox} httpd -f -p 127.0.0.1:${toString port} -h ${said} \
        -r "$STATUS_REALM" -c "$RUNTIME_DIRECTORY/httpd.conf"
    '';
    serviceConfig = {
      User = "status-api";
      Group = "status-api";
      EnvironmentFile = secrets.status-environment.path;
      RuntimeDirectory = "status-api";
      RuntimeDirectoryMode = "0700";
      UMask = "0077";
      Restart = "on-failure";
    };
  };
}
