"""What each option of ssh_config(5) comes to here: the list that the tests walk over."""

from __future__ import annotations

from enum import Enum


class Bearing(Enum):
    """What an option of ssh_config(5) that bears on trust comes to here."""

    HONOURED = "as ssh has it"
    STRICTER = "strict, whatever it says"
    NEVER = "never, whatever it says"
    REFUSED = "the host is not contacted"


BEARINGS = {
    "canonicaldomains": Bearing.HONOURED,
    "canonicalizefallbacklocal": Bearing.HONOURED,
    "canonicalizehostname": Bearing.HONOURED,
    "canonicalizemaxdots": Bearing.HONOURED,
    "canonicalizepermittedcnames": Bearing.HONOURED,
    "casignaturealgorithms": Bearing.HONOURED,
    "checkhostip": Bearing.HONOURED,
    "controlmaster": Bearing.NEVER,
    "controlpath": Bearing.NEVER,
    "forwardagent": Bearing.NEVER,
    "forwardx11": Bearing.NEVER,
    "forwardx11trusted": Bearing.NEVER,
    "globalknownhostsfile": Bearing.HONOURED,
    "globalknownhostsfile2": Bearing.HONOURED,
    "gssapidelegatecredentials": Bearing.NEVER,
    "gssapikeyexchange": Bearing.NEVER,
    "gssapitrustdns": Bearing.NEVER,
    "host": Bearing.HONOURED,
    "hostkeyalgorithms": Bearing.HONOURED,
    "hostkeyalias": Bearing.HONOURED,
    "hostname": Bearing.HONOURED,
    "include": Bearing.HONOURED,
    "knownhostscommand": Bearing.HONOURED,
    "match": Bearing.HONOURED,
    "nohostauthenticationforlocalhost": Bearing.STRICTER,
    "port": Bearing.HONOURED,
    "proxycommand": Bearing.HONOURED,
    "proxyjump": Bearing.HONOURED,
    "requiredrsasize": Bearing.HONOURED,
    "revokedhostkeys": Bearing.HONOURED,
    "stricthostkeychecking": Bearing.STRICTER,
    "updatehostkeys": Bearing.STRICTER,
    "userknownhostsfile": Bearing.HONOURED,
    "userknownhostsfile2": Bearing.HONOURED,
    "verifyhostkeydns": Bearing.STRICTER,
}
"""Every option that bears on whom we trust, and with what: in lower case."""

NO_BEARING = frozenset(
    """
addkeystoagent addressfamily batchmode bindaddress bindinterface certificatefile channeltimeout
ciphers clearallforwardings compression connectionattempts connecttimeout controlpersist
dynamicforward enableescapecommandline enablesshkeysign escapechar exitonforwardfailure
fingerprinthash forkafterauthentication forwardx11timeout gatewayports gssapiauthentication
gssapiclientidentity gssapikexalgorithms gssapirenewalforcesrekey gssapiserveridentity
hashknownhosts hostbasedacceptedalgorithms hostbasedauthentication identitiesonly identityagent
identityfile ignoreunknown ipqos kbdinteractiveauthentication kbdinteractivedevices kexalgorithms
localcommand localforward loglevel logverbose macs
numberofpasswordprompts obscurekeystroketiming passwordauthentication permitlocalcommand
permitremoteopen pkcs11provider preferredauthentications proxyusefdpass pubkeyacceptedalgorithms
pubkeyauthentication refuseconnection rekeylimit remotecommand remoteforward requesttty
securitykeyprovider sendenv serveralivecountmax serveraliveinterval sessiontype setenv stdinnull
streamlocalbindmask streamlocalbindunlink syslogfacility tag tcpkeepalive tunnel tunneldevice user
versionaddendum visualhostkey warnweakcrypto xauthlocation
""".split()  # noqa: SIM905
)


REFUSED = {
    "BindInterface": (
        "BindInterface",
        "a connection cannot be bound to an interface here, and by another way it might lead "
        "elsewhere",
    ),
    "ProxyUseFdpass": (
        "ProxyUseFdpass is not supported",
        "a socket that a command passes on cannot be taken here",
    ),
    "KnownHostsCommand": (
        "in KnownHostsCommand",
        "the command is asked before the host shows a key, so it is told none (`%f`, `%K`, `%t`)",
    ),
    "KnownHostsCommand and CheckHostIP": (
        "KnownHostsCommand and CheckHostIP",
        "the command is asked before the address is known",
    ),
    "UserKnownHostsFile": (
        "without spaces",
        "`ssh -G` prints a name with a space like two names: it might be a file of keys that "
        "nobody trusts",
    ),
    "Ciphers": (
        "is supported here",
        "of algorithms that asyncssh does not have none is left",
    ),
    "ProxyCommand": (
        "in ProxyCommand",
        "a name for a shell is a plain one: the inventory may be another's",
    ),
    "IdentityFile": (
        "%C in IdentityFile",
        "what `%C` stands for behind a jump host depends on the version of ssh",
    ),
}
"""What is refused on purpose, though ssh takes it: what the error says, and the reason."""
