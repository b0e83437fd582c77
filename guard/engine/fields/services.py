"""Ports by service name: the registered names a rule is likely to use."""

from __future__ import annotations

SERVICES: dict[str, int] = {
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53,
    "tftp": 69, "gopher": 70, "finger": 79, "http": 80, "kerberos": 88, "pop3": 110,
    "sunrpc": 111, "auth": 113, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138,
    "netbios-ssn": 139, "imap2": 143, "imap": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179,
    "irc": 194, "ldap": 389, "https": 443, "microsoft-ds": 445, "submissions": 465,
    "syslog": 514, "printer": 515, "submission": 587, "ipp": 631, "ldaps": 636,
    "rsync": 873, "ftps": 990, "imaps": 993, "pop3s": 995, "socks": 1080, "openvpn": 1194,
    "ms-sql-s": 1433, "nfs": 2049, "docker": 2375, "git": 9418, "mysql": 3306,
    "ms-wbt-server": 3389, "svn": 3690, "sip": 5060, "xmpp-client": 5222, "mdns": 5353,
    "postgresql": 5432, "amqp": 5672, "redis": 6379, "ircd": 6667, "x11": 6000,
}  # fmt: skip

_NAMES = {port: name for name, port in reversed(SERVICES.items())}


def service_name(port: int) -> str:
    """Name of the service at `port`, the number as text when it has none here."""
    return _NAMES.get(port, str(port))
