# The second part of the question: files, accounts, what boots; and all of it, asked. See question.py.
# What begins so in /etc says who may log in, become root, or what runs.
guarded='^(cron|at\.|anacrontab|ld(-nix)?\.so\.preload|pam\.|sudoers|doas\.conf|security/|profile'
guarded="$guarded"'|bashrc|bash\.bashrc|zsh|ssh/(sshd?_config|sshrc)|shosts|hosts\.'
guarded="$guarded"'|udev/rules|modprobe\.d/|modules-load\.d/|polkit-1/|dbus-1/|xdg/autostart/'
guarded="$guarded"'|tmpfiles\.d/|sysusers\.d/|binfmt\.d/|NetworkManager/dispatcher\.d/|rc\.local'
guarded="$guarded"'|init\.d/|nix/nix\.conf|environment\.d/|systemd/[^/]*\.conf|ld\.so\.conf)'
files() {
  [ -n "$etc" ] || return 0
  [ "$(real /etc/static)" = "$etc" ] || [ ! -e /etc/static ] || say etc "static${tab}replaced"
  {
    find "$etc/" ! -type d -printf '%P\000' 2>/dev/null
    printf '\000'
    find /etc -xdev ! -type d -printf '%P\t-%l\t%u\t%m\000' 2>/dev/null
  } | tr '\n\000' '?\n' | guarded=$guarded awk -F '\t' '
    !past && $0 == "" { past = 1; next }
    !past { own[$1]; next }
    $1 in own { link[$1] = $2; there[$1]; next }
    $1 ~ ENVIRON["guarded"] && added++ < 2000 { print "new\t" $0 }
    END {
      for (name in own) {
        base = name; sub(/\.(mode|uid|gid)$/, "", base)
        if ((base != name && base in own) || link[name] == "-/etc/static/" name) continue
        print "odd\t" name
      }
    }' | head -n 20000 | while IFS="$tab" read -r what name link owner mode; do
    case $what in
    new)
      sum=
      if [ -f "/etc/$name" ] && [ ! -L "/etc/$name" ]; then
        sum=$(bounded 5 head -c 262144 "/etc/$name" | sha256sum)
      fi
      printf 'added\t%s\t%s\t%s\t%s\t%s\n' "$name" "${link#-}" "$owner" "$mode" "${sum%% *}" ;;
    odd)
      [ "$(real "/etc/$name")" != "$(real "$etc/$name")" ] || continue
      cmp -s "/etc/$name" "$etc/$name" && continue
      how=replaced
      if [ -e "$etc/$name.mode" ] || grep -Fxq -e "$name" "$system/etc-copies" 2>/dev/null; then
        how=changed
      fi
      [ -e "/etc/$name" ] || [ -L "/etc/$name" ] || how=gone
      printf 'etc\t%s\t%s\n' "$name" "$how" ;;
    esac
  done
  for path in /bin/sh /usr/bin/env; do
    [ ! -e "$path" ] || say link "$path${tab}$(real "$path")"
  done
}

accounts() {
  head -n 20000 /etc/passwd | tr '\t' '?' | sed 's/^/passwd\t/'
  head -n 20000 /etc/group | tr '\t' '?' | sed 's/^/group\t/'
  # Whether there is a password; never what it is.
  [ ! -r /etc/shadow ] || awk -F : '{
    print "shadow\t" $1 "\t" ($2 == "" ? "empty" : $2 ~ /^[!*]/ ? "locked" : "set") }' /etc/shadow |
    head -n 20000
}

# Lines that are keys. $1 file
keys_of() {
  [ -f "$1" ] || return 0
  owner=$(stat -L -c %u "$1")
  bounded 5 head -c 262144 "$1" | tr '\t\r' '  ' |
    grep -aE '^[^#]*(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ +AAAA' | head -n 500 | cut -c 1-9000 |
    sed "s|^|key\t$(printf %s "$1" | tr '\n\t|&\\' '?????')\t$owner\t|"
}
keys() {
  cut -d : -f 6 /etc/passwd | sort -u | head -n 5000 | while IFS= read -r home; do
    case $home in /var/empty | /nonexistent | /proc/* | /dev/* | '') continue ;; esac
    for file in "${home%/}/.ssh/authorized_keys" "${home%/}/.ssh/authorized_keys2"; do
      keys_of "$file"
    done
  done
  # Those that are the system's are declared, in whatever form.
  for file in /etc/ssh/authorized_keys.d/*; do
    cmp -s "$file" "$etc/${file#/etc/}" || keys_of "$file"
  done
}

# Where a set-user-ID program could count: local file systems that let it.
places() {
  awk '$3 ~ /^(ext[234]|xfs|btrfs|zfs|f2fs|bcachefs|tmpfs|overlay|reiserfs|jfs|ramfs)$/ &&
    ("," $4 ",") !~ /,nosuid,/ && $2 !~ /^\/(nix|proc|sys|run\/wrappers)(\/|$)/ { print $2 }' \
    /proc/self/mounts | sort -u | while IFS= read -r place; do printf '%b\n' "$place"; done
}
programs() {
  prune='-path /nix/store -o -path /proc -o -path /sys -o -path /run/wrappers'
  # Images of containers, where nobody else comes to them.
  hidden='( -path */docker -o -path */containers -o -path */containers/storage -o -path */machines -o -path */nixos-containers
    -o -path */lxc -o -path */lxd -o -path */incus -o -path */libvirt ) -type d ! -perm -0001'
  set -f
  places | {
    set --
    while IFS= read -r place; do set -- "$@" "$place"; done
    [ $# != 0 ] || exit 0
    { timeout -k 2 60 nice -n 19 find "$@" -xdev '(' $prune -o $hidden ')' -prune -o \
        -type f -perm /6000 -printf '%m\t%U\t%G\t%p\000' 2>/dev/null < /dev/null
      [ $? != 124 ] || printf 'cut\000'; } | records setuid 5000
    if command -v getcap > /dev/null; then
      { timeout -k 2 60 nice -n 19 find "$@" -xdev '(' $prune -o $hidden ')' -prune -o \
          -type f -perm /0111 ! -path '*
*' -exec getcap {} + 2>/dev/null < /dev/null
        [ $? != 124 ] || printf 'cut\n'; } | tr '\n\t' '\000?' | records capability 5000
    else
      say unseen capabilities
    fi
  }
  set +f
  find /run/wrappers/bin/ -mindepth 1 -type f -printf '%m\t%u\t%g\t%f\000' 2>/dev/null |
    records wrapper 1000
}

scheduled() {
  find /var/spool/cron /var/cron/tabs /var/spool/at /var/spool/atd -type f -size +0 \
    ! -name '.*' -printf '%u\t%p\000' 2>/dev/null | records cron 1000
}

boots() {
  for generation in /nix/var/nix/profiles/system-*-link \
    /nix/var/nix/profiles/system-profiles/*-link; do
    [ -e "$generation" ] || continue
    say generation "$(real "$generation")"
    for special in "$generation"/specialisation/*; do
      [ ! -e "$special" ] || say generation "$(real "$special")"
    done
  done | head -n 4000
  for file in /boot/loader/entries/*.conf /efi/loader/entries/*.conf \
    /boot/efi/loader/entries/*.conf; do
    [ -f "$file" ] || continue
    printf 'boot\t%s\t%s\n' "$(printf %s "${file##*/}" | tr '\n\t' '??')" \
      "$(bounded 5 head -c 65536 "$file" | grep -ao '[ \t]init=[^ ]*' | tail -n 1 | cut -c 7-)"
  done | head -n 2000
  for file in /boot/grub/grub.cfg /boot/extlinux/extlinux.conf; do
    [ -f "$file" ] || continue
    bounded 5 head -c 4000000 "$file" | grep -ao '[ \t]init=[^ ]*' | cut -c 7- | sort -u |
      head -n 1000 | sed "s|^|boot\t${file##*/}\t|"
  done
}

kernel() {
  if [ "${container:-none}" != none ]; then say unseen kernel; return; fi
  tree=/run/booted-system/kernel-modules/lib/modules/$(uname -r)
  if [ -d "$tree" ]; then
    {
      find -L "$tree/" -name '*.ko*' -printf '%f\n' 2>/dev/null
      echo
      cut -d ' ' -f 1 /proc/modules
    } | awk '
      !past && $0 == "" { past = 1; next }
      !past { sub(/\.ko.*/, ""); gsub(/-/, "_"); known[$0]; next }
      !($0 in known) { print "module\t" $0 }' | head -n 1000
  else
    say unseen modules
  fi
  for name in core_pattern modprobe hotplug poweroff_cmd; do
    [ ! -r "/proc/sys/kernel/$name" ] ||
      printf 'helper\t%s\t%s\n' "$name" "$(read_one "/proc/sys/kernel/$name" | tr '\t' ' ')"
  done
  for file in /proc/sys/fs/binfmt_misc/*; do
    [ -r "$file" ] || continue
    # NixOS has links in /run/binfmt.
    program=$(sed -n 's/^interpreter //p' "$file" | head -n 1)
    [ -z "$program" ] || say helper "binfmt_misc ${file##*/}${tab}$(real "$program")"
  done 2>/dev/null
}

logins() {
  if ! has journalctl; then say unseen logins; return; fi
  # The address is the last one: a name may have that word in it, too.
  bounded 20 journalctl --quiet --no-pager --output=cat --since=-24h --lines=20000 \
    -t sshd -t sshd-session | awk '
      /^(Failed|Invalid user|Connection closed by (authenticating|invalid))/ { kind = "failed" }
      /^Accepted / { kind = "accepted" }
      kind != "" { text = $0; sub(/ port [0-9]+.*/, "", text); n = split(text, word, " ")
        if (kind == "failed") failed[word[n]]++; else accepted[word[n]]++; kind = "" }
      END {
        for (at in failed)
          if (++told <= 1000) print "login\t" at "\t" failed[at] "\t" accepted[at] + 0 }'
}

ours() {
  find /run/orchestrator /var/lib/orchestrator ! -type l '(' ! -user root -o -perm /022 ')' \
    -printf '%m\t%u\t%p\000' 2>/dev/null | records loose 1000
  find /etc/ssh/ -maxdepth 1 -type f -name 'ssh_host_*_key' '(' ! -user root -o -perm /077 ')' \
    -printf '%m\t%u\t%p\000' 2>/dev/null | records loose 100
  for file in /etc/ssh/ssh_host_*_key.pub /run/orchestrator/guard /var/lib/orchestrator/record; do
    [ ! -f "$file" ] ||
      printf 'sum\t%s\t%s\n' "$file" "$(bounded 5 sha256sum "$file" | cut -c 1-64)"
  done
}

generations() {
  ls -dt /run/booted-system /nix/var/nix/profiles/system-*-link 2>/dev/null | head -n 10 |
    while IFS= read -r one; do real "$one"; done | sort -u
}
# Of the paths that were said, those in a closure. $1 kind  $2... its roots
members() {
  kind=$1; shift
  {
    printf '%s\n\n' "$paths"
    bounded 60 nix-store --query --requisites "$@"
  } | awk -v kind="$kind" '
    !past && $0 == "" { past = 1; next }
    !past { wanted[$0]; next }
    $0 in wanted { print kind "\t" $0 }'
}
# Of the closure so many paths, whichever.
verified() {
  bounded 30 nix-store --query --requisites "$system" | shuf -n "$1" | while IFS= read -r path; do
    if why=$(timeout -k 2 20 nice -n 19 nix-store --verify-path "$path" 2>&1 < /dev/null); then
      say verified "$path"
    else
      case $why in *modified*) say modified "$path" ;; esac
    fi
  done
}

said=$(
  head_
  sockets
  processes
  units
  files
  accounts
  boots
  kernel
  if [ "$root" = yes ]; then
    keys
    programs
    scheduled
    logins
    ours
  fi
)
printf '%s\n' "$said"
paths=$(printf '%s\n' "$said" |
  grep -aoE '/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+' | sort -u | head -n 5000)
members closure "$system"
members earlier $(generations)
if [ "$root" = yes ]; then
  [ -z "$paths" ] || printf '%s\n' "$paths" |
    xargs nix-store --check-validity --print-invalid 2>/dev/null | sed 's/^/invalid\t/'
  verified "$1"
fi
say now "$(real /run/current-system)"
say end yes
