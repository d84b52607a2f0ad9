"""A GlobalPlatform client that is not ours, PyPI `yubikey-manager` (yubikit), against our card.

Commands go out on stdout as one line of hexadecimal each, responses come in on stdin the same way; the test
`foreign.rs` holds the card. Needs `pip install yubikey-manager` (5.4 or later speaks SCP03). Arguments:
`short` or `extended`, the form of its APDUs, and the card's variant i in hexadecimal. The last line says `done`.
"""

import sys

from yubikit.core import TRANSPORT, Tlv
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.core.smartcard.scp import KeyRef, Scp03KeyParams, ScpKid, StaticKeys
from yubikit.securitydomain import SecurityDomainSession

# It speaks the extended form over USB and the short one over NFC.
TRANSPORTS = {"short": TRANSPORT.NFC, "extended": TRANSPORT.USB}


def with_le(apdu: bytes) -> bytes:
    """In the extended form this client asks for no data and expects some; a MAC does not cover Le."""
    if len(apdu) == 4:
        return apdu + b"\0"
    extended = apdu[4] == 0 and len(apdu) > 7
    return apdu + b"\0\0" if extended and len(apdu) == 7 + int.from_bytes(apdu[5:7], "big") else apdu


class Card(SmartCardConnection):
    transport = TRANSPORTS[sys.argv[1]]

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        print(with_le(bytes(apdu)).hex(), flush=True)
        answer = bytes.fromhex(sys.stdin.readline())
        return answer[:-2], int.from_bytes(answer[-2:], "big")

    def close(self) -> None:
        pass


def refused(action, *args) -> None:
    try:
        action(*args)
    except (ApduError, ValueError):
        return
    sys.exit(f"not refused: {action.__name__}{args}")


def session(params: Scp03KeyParams | None = None) -> SecurityDomainSession:
    opened = SecurityDomainSession(Card())
    if params:
        opened.authenticate(params)
    return opened


def scp03(version: int, keys: StaticKeys) -> Scp03KeyParams:
    return Scp03KeyParams(KeyRef(ScpKid.SCP03, version), keys)


def versions(opened: SecurityDomainSession) -> set[int]:
    """The client's own get_key_information wants the template's content without the template (E0)."""
    entries = Tlv.parse_list(Tlv.unpack(0xE0, opened.get_data(0xE0)))
    return {Tlv.unpack(0xC0, entry)[1] for entry in entries}


def main() -> None:
    initial = scp03(0, StaticKeys.default())
    first = StaticKeys(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)))
    second = StaticKeys(*(bytes([byte] * 16) for byte in (0xA1, 0xA2, 0xA3)))

    plain = session()
    assert versions(plain) == {0xFF}, versions(plain)
    recognition = plain.get_data(0x66)
    assert bytes.fromhex("2a864886fc6b0403" + sys.argv[2]) in recognition, "SCP 03, and its i"
    refused(plain.authenticate, scp03(0, first))
    refused(plain.authenticate, scp03(0x30, first))

    opened = session(initial)
    assert opened.get_data(0x66) == recognition, "the same over the channel"
    opened.put_key(KeyRef(ScpKid.SCP03, 0x30), first)
    assert versions(opened) == {0x30}, "the initial keys are gone"
    refused(session, initial)

    opened = session(scp03(0x30, first))
    opened.put_key(KeyRef(ScpKid.SCP03, 0x31), second)
    assert versions(opened) == {0x30, 0x31}
    opened = session(scp03(0x31, second))
    opened.put_key(KeyRef(ScpKid.SCP03, 0x32), first, 0x30)
    assert versions(opened) == {0x31, 0x32}
    opened.delete_key(kvn=0x31)
    refused(session, scp03(0x31, second))
    last = session(scp03(0x32, first))
    refused(last.delete_key, 0, 0x32)
    assert versions(last) == {0x32}
    print("done", flush=True)


main()
