# Many equal machines: one system, in which no name of theirs is. Each takes its name at run time, and
# its own secrets by that name.
{ config, lib, ... }:
let
  inherit (lib) mapAttrs mkIf mkOption types;
  own = config.fleet.memberSecrets;

  # A machine's name is the one as which it was deployed: what a deployment is called on it is
  # RUN.HOST.NONCE. The one that is under way counts first, unless it is being rolled back.
  # Without any, $name is empty.
  findName = ''
    name=
    for file in /run/orchestrator/attempt /var/lib/orchestrator/record /var/lib/orchestrator/attempt; do
      [ -z "$name" ] && [ -r "$file" ] || continue
      token= state=
      while IFS= read -r line; do
        case $line in
          token=*.*.*) token=''${line#*.} token=''${token%%.*} ;;
          state=*) state=''${line#state=} ;;
        esac
      done < "$file"
      case $state in returning | returned | stuck) continue ;; esac
      case $token in -* | *- | *[!a-z0-9-]*) continue ;; esac
      name=$token
    done
  '';
in
{
  options.fleet.memberSecrets = mkOption {
    type = types.attrsOf types.path;
    default = { };
    example = lib.literalExpression "{ token = ../secrets/kiosk; }";
    description = ''
      Secrets that each machine has of its own: by the name below `age.secrets`, the folder in which
      `MACHINE/NAME.age` is. All of these encrypted files are on every machine; each opens its own.
    '';
  };

  config = {
    # Else each would have the class's, by which the system alone is called.
    networking.hostName = lib.mkForce "";
    system.name = config.fleet.name;

    # Without a deployment the machine keeps the name that it was installed with.
    system.activationScripts.memberName = {
      deps = [ "etc" ];
      text = ''
        (
          ${findName}
          now=
          [ ! -r /etc/hostname ] || read -r now < /etc/hostname || true
          if [ -n "$name" ] && [ "$now" != "$name" ]; then
            echo "this machine is $name"
            printf '%s\n' "$name" > /etc/hostname.new && mv -f /etc/hostname.new /etc/hostname || exit
            # From here on, and not only from the next boot on.
            printf '%s' "$name" > /proc/sys/kernel/hostname 2> /dev/null || hostname "$name"
          fi
        )
      '';
    };

    age.secrets = mapAttrs (name: _: { file = "/run/fleet-member/${name}.age"; }) own;
    system.activationScripts.memberSecrets = mkIf (own != { }) {
      text = ''
        (
          ${findName}
          [ -n "$name" ] || read -r name < /etc/hostname || true
          mkdir -p /run/fleet-member
          ${lib.concatStrings (
            lib.mapAttrsToList (secret: folder: ''
              ln -sfn "${folder}/$name/${secret}.age" /run/fleet-member/${secret}.age
            '') own
          )}
        )
      '';
    };
    system.activationScripts.agenixInstall = mkIf (own != { }) { deps = [ "memberSecrets" ]; };
  };
}
