# What the host's configuration says of its secret, as ../default.nix does.
{
  ageBin = builtins.readFile ./age-program;
  identityPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
  secrets.token = {
    file = ./secrets/token.age;
    path = "/run/agenix/token";
    mode = "0400";
    owner = "0";
    group = "0";
  };
}
