# Who may read which secret, as agenix has it. These keys are for the lab alone: their private halves
# are in `open-keys/`, for everybody to read.
let
  admin = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9XPGCjtIodL7G9h7Lwqf2cx0r87DPS2x41jvDL6sC0 admin@example";

  p620 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICi3Nhw1sTA4q21CU60NnJzPFZtCqOj4edcG/2HwTknR root@p620";
  razer = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMI8O//ApNZZDq8W7VxYx6rA8qj5nOhzUzeJGH3GJ2F2 root@razer";
  samsung = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBGdaOH6w+yXDjUBWANvwWse+txS9MwHTX0yRNJQgHjl root@samsung";
  p510 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDKLBsr/eTu8sugX69GYYTRk3jpu90y7dAP0BND1jXya root@p510";
  dex5550 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC6VRmj3ixqTgBUAXzUe7+h3wul4sxM4F9fx2tBpTQDB root@dex5550";

  servers = [
    p510
    dex5550
  ];
  hosts = servers ++ [
    p620
    razer
    samsung
  ];
in
{
  "admin-password.age".publicKeys = [ admin ] ++ hosts;
  "status-environment.age".publicKeys = [ admin ] ++ servers;
  "status-token.age".publicKeys = [ admin ] ++ servers;
}
