"""OpenSSH servers, through asyncssh: one connection carries commands, copies and verification."""
