# A node of `deploy.nodes`, with a profile as deploy-rs's `lib.activate.nixos` makes it.
#
# Its link is beside the system profile, which the activation sets to the plain system (one local
# `nix-env`): so one fleet serves every tool, and a host is unchanged for the next one.
{ pkgs, activate }:
name: host:
let
  inherit (host.config.system.build) toplevel;
  script = ''
    #!/bin/sh
    set -eu
    action=switch
    if [ "''${BOOT:-}" = 1 ]; then action=boot; fi
    if [ "''${DRY_ACTIVATE:-}" = 1 ]; then action=dry-activate; fi
    cd /tmp
    if [ $action != dry-activate ]; then
      nix-env --profile /nix/var/nix/profiles/system --set ${toplevel}
    fi
    exec ${toplevel}/bin/switch-to-configuration $action
  '';
in
{
  hostname = name;
  sshUser = "root";
  profiles.system = {
    user = "root";
    profilePath = "/nix/var/nix/profiles/deploy-rs";
    path = pkgs.runCommand "activatable-${name}" { inherit toplevel activate script; } ''
      mkdir $out
      for file in $toplevel/*; do ln -s $file $out/; done
      printf '%s' "$script" > $out/deploy-rs-activate
      printf '#!/bin/sh\nexec %s "$@"\n' $activate > $out/activate-rs
      chmod +x $out/deploy-rs-activate $out/activate-rs
    '';
  };
}
