# A ProxyCommand: standard input and output to a port of the loopback interface, until either ends.
use strict;
use Socket;
socket(my $peer, PF_INET, SOCK_STREAM, 0) or exit 1;
connect($peer, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or exit 1;
my ($in, $out) = (fileno(STDIN), fileno($peer));
while (1) {
  my $ready = '';
  vec($ready, $_, 1) = 1 for $in, $out;
  select($ready, undef, undef, undef);
  for ([\*STDIN, $peer, $in], [$peer, \*STDOUT, $out]) {
    my ($from, $to, $number) = @$_;
    next unless vec($ready, $number, 1);
    my $read = sysread($from, my $data, 65536);
    exit 0 unless $read;
    while (length $data) {
      my $wrote = syswrite($to, $data);
      exit 0 unless $wrote;
      substr($data, 0, $wrote) = '';
    }
  }
}
