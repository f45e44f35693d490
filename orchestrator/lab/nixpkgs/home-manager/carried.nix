# Where options of Home Manager live that do nothing here: accepted, merged, and written into the
# home's carried.json, as `../nixos/carried.nix` has it for a host.
[
  "accounts"
  "dconf"
  "editorconfig"
  "fonts"
  "gtk"
  "i18n"
  "manual"
  "news"
  "nix"
  "programs"
  "qt"
  "services"
  "systemd"
  "targets"
  "wayland"
  "xdg"
  "xresources"
  "xsession"
]
