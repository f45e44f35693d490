export PATH="$PATH:/run/current-system/sw/bin"
