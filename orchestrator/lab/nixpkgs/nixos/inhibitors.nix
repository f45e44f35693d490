# What is checked before a switch: system.preSwitchChecks, and system.switch.inhibitors, which is one.
{ config, lib, ... }:
let
  line = name: value: "${builtins.toJSON name}:${builtins.toJSON value}";
  check = name: text: ''
    # pre-switch check ${name}
    (
      ${text}
    )
    if [[ $? != 0 ]]; then
      echo "Pre-switch check '${name}' failed"
      exit 1
    fi
  '';
in
{
  options.system.switch.inhibitors = lib.mkOption {
    type = lib.types.attrsOf lib.types.str;
    default = { };
    description = "What keeps a system from being switched to live, where it changes.";
  };
  options.system.preSwitchChecks = lib.mkOption {
    type = lib.types.attrsOf lib.types.str;
    default = { };
    description = "Shell that runs before a switch, with the system and the action: one that fails ends it.";
  };

  # A component that both generations name must be the same in both.
  config.system.preSwitchChecks.switchInhibitors = ''
    case $2 in switch | test) ;; *) exit ;; esac
    changes=$(
      sed -n 's/^\(".*"\):\(".*"\),*$/\1 \2/p' /run/current-system/switch-inhibitors 2> /dev/null |
        while read -r name old; do
          new=$(sed -n "s/,*\$//;s/^$name://p" "$1/switch-inhibitors")
          if [ -n "$new" ] && [ "$new" != "$old" ]; then echo "$name : $old -> $new"; fi
        done
    )
    [ -n "$changes" ] || exit 0
    echo "There are changes to critical components of the system:"
    echo "$changes"
    exit 1
  '';

  # JSON with a line for each, so that a shell can compare.
  config.system.build.inhibitors = "{\n${
    builtins.concatStringsSep ",\n" (lib.mapAttrsToList line config.system.switch.inhibitors)
  }\n}\n";
  config.system.build.preSwitchChecks = lib.concatLines (
    lib.mapAttrsToList check config.system.preSwitchChecks
  );
}
