# What the boot loader starts: this generation is the one that was booted, and is activated.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# A system that does not come up, for tests; as a real kernel's it is found out by booting it.
case " $(cat "$system/kernel-params") " in
*" lab.boot=hang "*)
  echo "this kernel does not come up"
  while :; do sleep 3600; done
  ;;
*" lab.boot=fallback "*)
  # What a boot loader does that counts tries: the newest entry of another system.
  for number in $(ls /boot/loader/entries | sed 's/[^0-9]//g' | sort -rn); do
    init=$(sed -n 's/.*init=\([^ ]*\).*/\1/p' "/boot/loader/entries/nixos-generation-$number.conf")
    [ "$init" != "$system/init" ] || continue
    echo "this kernel does not come up: booting generation $number"
    exec "${init%/init}/bin/boot-activate"
  done
  ;;
esac

ln -sfn "$system" /run/.booted.new && mv -T /run/.booted.new /run/booted-system ||
  echo "/run/booted-system cannot be written" >&2
# As stage 2 does where it may not write to the kernel's log; how it ends is nobody's to see.
mkdir -p /run/log
"$system/activate" 2>&1 | tee /run/log/stage-2-init.log
