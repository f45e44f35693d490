"""The one question: what a machine is made of. POSIX sh, read-only, nothing installed for it.

Its answer has three kinds of lines, which ``plan/answer.py`` reads: ``PATH:LINE`` of files, as grep
prints them; ``link=PATH -> TARGET``; and ``KEY=VALUE``, of a program all that it said in one line.
Each program and each group of files has ten seconds and a bound in bytes; what is not there says
nothing. Only a reader that is root gets the table of SMBIOS, SMART and process 1's environment.
"""

from __future__ import annotations

QUESTION = r"""
export LC_ALL=C PATH="$PATH:/run/current-system/sw/bin"
# What has not ended after ten seconds is ended, with all that it started.
bounded() { timeout -k 2 10 "$@" 2>/dev/null < /dev/null; }
# Lines that match, as `PATH:LINE`. $1 pattern  $2... files
lines() { bounded grep -asHE "$@" | head -c 1000000; echo; }
files() { lines '' "$@"; }
# $1 folder of links
links() {
  bounded ls -l "$1" | head -c 500000 | sed -n "s|^l.* \([^ ]*\) -> \(.*\)|link=$1/\1 -> \2|p"
}
# What a program prints, as one line. $1 key  $2 bytes at the most  $3... the program
answer() {
  what=$1 most=$2
  shift 2
  if command -v "$1" > /dev/null; then
    said=$(bounded "$@" | head -c "$most" | tr '\n\000' '  ')
    printf '%s=%s\n' "$what" "$said"
  else
    printf 'missing=%s\n' "$1"
  fi
}
# A file of bytes. $1 key  $2 file
encoded() {
  [ -r "$2" ] && printf '%s=%s\n' "$1" "$(bounded head -c 131072 "$2" | base64 | tr -d '\n')"
}
# $1 key  $2... what may be there
there() {
  what=$1
  shift
  for one in "$@"; do [ ! -e "$one" ] || { printf '%s=yes\n' "$what"; break; }; done
}
# How many there are. $1 key  $2... what a pattern matched
count() {
  what=$1
  shift
  [ ! -e "$1" ] || printf '%s=%s\n' "$what" "$#"
}
# Short answers at the same time: each is one write to a pipe.
programs() {
  answer analyze 2000 systemd-analyze time &
  answer nix 200 nix --version &
  answer virt 200 systemd-detect-virt &
  answer active 500 systemctl is-active systemd-timesyncd.service chronyd.service \
    chrony.service ntpd.service ntpsec.service openntpd.service &
  answer chrony 2000 chronyc -n tracking &
  if [ "$root" = yes ]; then
    for disk in /sys/block/*; do
      case ${disk##*/} in
      sd* | nvme*n* | hd*) answer "smart.${disk##*/}" 3500 \
        smartctl --json=c -H -n standby "/dev/${disk##*/}" & ;;
      esac
    done
  fi
  wait
  answer lscpu 100000 lscpu -J
  answer lsblk 1000000 lsblk -J -b -o NAME,TYPE,SIZE,FSTYPE,SERIAL
}
root=no
[ "$(id -u)" != 0 ] || root=yes
printf 'root=%s\nkernel=%s\nmachine=%s\n' "$root" "$(uname -r)" "$(uname -m)"
# They answer while the rest is read, and are printed after it.
programs | {
  files /etc/machine-id /proc/sys/kernel/osrelease /run/current-system/nixos-version \
    /run/systemd/container /sys/hypervisor/type
  lines '^(ID|VERSION_ID)=' /etc/os-release
  bounded sed '/^$/q; s/^/cpuinfo=/' /proc/cpuinfo | head -c 20000
  echo
  files /sys/devices/system/cpu/online /sys/devices/system/node/online \
    /sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id \
    /sys/devices/system/cpu/cpu[0-9]*/topology/core_id
  lines '^MemTotal' /proc/meminfo
  files /sys/devices/system/memory/block_size_bytes /sys/devices/system/edac/mc/mc*/mc_name
  count memory_blocks /sys/devices/system/memory/memory[0-9]*
  links /sys/block
  links /dev/disk/by-id
  files /sys/block/*/size /sys/block/*/queue/rotational /sys/block/*/removable \
    /sys/block/*/device/model /sys/block/*/device/vendor /sys/block/*/device/serial \
    /sys/block/*/serial /sys/block/*/*/partition /sys/block/*/*/size
  files /proc/self/mounts
  lines '^(DRIVER|PCI_CLASS|PCI_ID)=' /sys/bus/pci/devices/*/uevent
  lines '^(DRIVER|OF_COMPATIBLE_0|PCI_ID)=' /sys/class/drm/card[0-9]/device/uevent \
    /sys/class/drm/card[0-9][0-9]/device/uevent
  there sysfs.pci /sys/bus/pci
  there sysfs.net /sys/class/net
  there sysfs.block /sys/block
  links /sys/class/net
  files /sys/class/net/*/address /sys/class/net/*/speed
  lines '^(DRIVER|PCI_ID)=' /sys/class/net/*/device/uevent
  for card in /sys/class/net/*/wireless; do
    [ ! -e "$card" ] || printf 'wireless=%s\n' "${card%/wireless}"
  done
  there sysfs.iommu /sys/kernel/iommu_groups
  for device in /sys/kernel/iommu_groups/*/devices/*; do
    [ ! -e "$device" ] || printf 'iommu=%s\n' "${device#/sys/kernel/iommu_groups/}"
  done | head -n 5000
  # Firmware says that there is an IOMMU, Intel's or AMD's, whether or not the kernel uses it.
  there iommu.table /sys/firmware/acpi/tables/DMAR /sys/firmware/acpi/tables/IVRS
  there sysfs.firmware /sys/firmware
  there efi /sys/firmware/efi
  encoded secure_boot \
    /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
  there sysfs.tpm /sys/class/tpm
  files /sys/class/tpm/tpm[0-9]*/tpm_version_major
  files /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name \
    /sys/class/dmi/id/product_version /sys/class/dmi/id/board_vendor \
    /sys/class/dmi/id/board_name /sys/class/dmi/id/bios_vendor \
    /sys/class/dmi/id/bios_version /sys/class/dmi/id/bios_date /sys/class/dmi/id/chassis_type
  encoded dmi /sys/firmware/dmi/tables/DMI
  files /sys/firmware/devicetree/base/model /sys/firmware/devicetree/base/compatible \
    /sys/firmware/devicetree/base/hypervisor/compatible
  there devicetree /sys/firmware/devicetree/base
  there kvm /dev/kvm
  there docker /.dockerenv /run/.containerenv
  [ "$root" = no ] || bounded head -c 100000 /proc/1/environ | tr '\000' '\n' |
    sed -n 's/^container=/container=/p'
  there sysfs.power /sys/class/power_supply
  files /sys/class/power_supply/*/uevent
  there sysfs.hwmon /sys/class/hwmon
  files /sys/class/hwmon/hwmon*/name /sys/class/hwmon/hwmon*/temp*_input \
    /sys/class/hwmon/hwmon*/temp*_label
  files /sys/devices/system/clocksource/clocksource0/current_clocksource
  there timesync /run/systemd/timesync/synchronized
  cat
} | tr '\000' ' ' # a device tree's texts end so
echo
echo end=
"""
"""See this file's beginning."""
