"""Mail: what it says, how it is handed in, and what happens while the server is away."""

from __future__ import annotations

import email
import email.policy
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from pss_kernel.config import Config
from pss_kernel.errors import Invalid, Unavailable
from pss_kernel.installation import Installation
from pss_kernel.keys._secret import Secret
from pss_kernel.mail import Letter, Mailer, MailServer
from pss_kernel.messaging._deliver import DeliveryFailed
from pss_kernel.testing import TestKit

pytestmark = pytest.mark.asyncio(loop_scope="session")

LETTER = Letter(
    "ada@example.com",
    "Aurelis Airways",
    "Hello",
    ["Dear Ada.", "Bye."],
    ("Go", "https://x/#token=1"),
)


class Post:
    """A mail server's handler: keeps what comes, or answers as it is told."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.reply = "250 OK"
        self.rcpt = "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Take or refuse an address."""
        if self.rcpt.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(  # noqa: N802 - as above
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take or refuse a message."""
        if self.reply.startswith("2"):
            content = envelope.content
            assert isinstance(content, bytes)
            self.messages.append(email.message_from_bytes(content, policy=email.policy.default))
            self.recipients.append(envelope.rcpt_tos)
        return self.reply


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(post: Post, port: int, **given: Any) -> Iterator[None]:
    """A mail server on this machine, in a thread of its own."""
    controller = Controller(post, hostname="127.0.0.1", port=port, **given)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


def mailer(url: str, folder: Path) -> Mailer:
    config = Config(data_dir=folder, smtp_url=Secret(url), mail_from="noreply@example.org")
    return Mailer(config, embedded=True)


async def test_handed_in(tmp_path: Path) -> None:
    """Over a socket: sender, recipient, text and HTML arrive as they were written."""
    post, port = Post(), free_port()
    with serving(post, port):
        await mailer(f"smtp://127.0.0.1:{port}?tls=none", tmp_path).send(LETTER, tenant="t")
    (message,) = post.messages
    assert post.recipients == [["ada@example.com"]]
    assert str(message["From"]) == "Aurelis Airways <noreply@example.org>"
    assert message["Subject"] == "Hello"
    assert message["Auto-Submitted"] == "auto-generated"
    text, page = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert page is not None
    assert "Go:\nhttps://x/#token=1" in text.get_content().replace("\r\n", "\n")
    assert 'href="https://x/#token=1"' in page.get_content()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - looked at once, after the fact


async def test_signed_in(tmp_path: Path) -> None:
    """With user and password, percent-encoded in the URL."""
    post, port = Post(), free_port()
    seen: list[tuple[bytes, bytes]] = []

    def check(_s: Any, _session: Any, _e: Any, _mechanism: Any, data: LoginPassword) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=True)

    with serving(post, port, authenticator=check, auth_require_tls=False):
        url = f"smtp://us%40er:p%2Fw@127.0.0.1:{port}?tls=none"
        await mailer(url, tmp_path).send(LETTER, tenant="t")
    assert seen == [(b"us@er", b"p/w")]
    assert len(post.messages) == 1


async def test_no_mail_in_clear(tmp_path: Path) -> None:
    """By itself TLS is needed: a server that doesn't offer it is given nothing."""
    post, port = Post(), free_port()
    with serving(post, port), pytest.raises(Unavailable) as refused:
        await mailer(f"smtp://127.0.0.1:{port}", tmp_path).send(LETTER, tenant="t")
    assert refused.value.code == "mail-unavailable"
    assert post.messages == []


async def test_unknown_certificate(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A server that can't prove who it is, is given nothing."""
    post, port = Post(), free_port()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with serving(post, port, tls_context=context), pytest.raises(Unavailable):
        await mailer(f"smtp://127.0.0.1:{port}", tmp_path).send(LETTER, tenant="t")
    assert post.messages == []


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate that nobody vouches for, and its key."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.mark.parametrize(("said", "retried"), [("451 later", True), ("550 nobody here", False)])
async def test_refused_address(tmp_path: Path, said: str, retried: bool) -> None:
    """A passing refusal is tried again; one for good is not."""
    post, port = Post(), free_port()
    post.rcpt = said
    with serving(post, port):
        sending = mailer(f"smtp://127.0.0.1:{port}?tls=none", tmp_path).send(LETTER, tenant="t")
        if retried:
            with pytest.raises(Unavailable) as refused:
                await sending
            assert "ada@" not in refused.value.sentence
        else:
            await sending
    assert post.messages == []


async def test_header_injection() -> None:
    """Line breaks in names add no header, and markup stays text."""
    letter = letter_of(
        brand='Evil\r\nBcc: all@example.com "x" <y@z>',
        subject="S\r\nX-Evil: 1\u2028",
        paragraphs=["<script>alert(1)</script>\r\nBcc: x@example.com"],
    )
    message = email.message_from_bytes(
        letter.message("noreply@example.org").as_bytes(), policy=email.policy.default
    )
    assert "Bcc" not in message
    assert "X-Evil" not in message
    assert [one.addr_spec for one in message["From"].addresses] == ["noreply@example.org"]
    assert message["Subject"] == "S X-Evil: 1"
    page = message.get_body(("html",))
    assert page is not None
    assert "<script>" not in page.get_content()


def letter_of(**given: Any) -> Letter:
    return Letter(to="ada@example.com", **given)


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com?tls=maybe",
        "smtp://mail.example.com:port",
        "smtp://mail.example.com?tsl=none",
        "smtp://mail.example.com/path",
    ],
)
async def test_wrong_url(url: str) -> None:
    """It is refused at the start, without being shown: it may hold a password."""
    with pytest.raises(Invalid) as refused:
        MailServer.parse(url)
    assert refused.value.code == "invalid-configuration"
    assert "mail.example.com:port" not in refused.value.sentence


async def test_ports() -> None:
    """Submission by itself; TLS from the first byte with ``smtps``."""
    found = [MailServer.parse(one) for one in ("smtp://a", "smtps://a", "smtp://a:25?tls=none")]
    assert [(one.port, one.tls) for one in found] == [
        (587, "starttls"),
        (465, "implicit"),
        (25, "none"),
    ]


async def test_sender_is_needed(tmp_path: Path) -> None:
    """A server without an address to send from is a mistake."""
    with pytest.raises(Invalid, match="PSS_MAIL_FROM"):
        Mailer(Config(data_dir=tmp_path, smtp_url=Secret("smtp://a")), embedded=False)


async def test_not_configured(tmp_path: Path) -> None:
    """On a server without SMTP nothing is sent, and that is said."""
    with pytest.raises(Unavailable) as refused:
        await Mailer(Config(data_dir=tmp_path), embedded=False).send(LETTER, tenant="t")
    assert (refused.value.code, refused.value.retryable) == ("mail-not-configured", False)


async def test_written_into_a_folder(tmp_path: Path) -> None:
    """Embedded, without SMTP: a file that only its owner reads."""
    await Mailer(Config(data_dir=tmp_path), embedded=True).send(LETTER, tenant="t")
    (path,) = (tmp_path / "mail").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.suffix == ".eml"


@pytest.fixture
def mailing(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], None]:
    """Let the installation of these tests send over SMTP."""

    def use(url: str) -> None:
        monkeypatch.setattr(installation, "mailer", mailer(url, tmp_path))

    return use


async def test_server_away(kit: TestKit, http: Any, mailing: Any) -> None:
    """An invitation that could not be sent is sent when the server is back, with a new link."""
    tenant = await kit.make_tenant()
    staff, guest = await http(tenant, ["*"]), await http(tenant)
    post, port = Post(), free_port()
    mailing(f"smtp://127.0.0.1:{port}?tls=none")
    answer = await staff.post("/v1/accounts", json={"email": "ada@example.com", "name": "Ada"})
    assert answer.status_code == 201
    waiting = await _outbox(kit, tenant.code)
    with pytest.raises(DeliveryFailed):
        await _deliver(kit, waiting)
    with serving(post, port):
        await _deliver(kit, waiting)
        await _deliver(kit, waiting)  # delivered again, it does nothing
    (message,) = post.messages
    body = message.get_body(("plain",))
    assert body is not None
    token = body.get_content().partition("#token=")[2].split()[0]
    answer = await guest.post(
        "/v1/account-links/acceptances",
        json={"token": token, "password": "violet harbour lantern 29"},
    )
    assert answer.status_code == 200


async def test_identity_is_never_quarantined(kit: TestKit, http: Any, mailing: Any) -> None:
    """However often mail fails, people sign in."""
    tenant = await kit.make_tenant()
    staff = await http(tenant, ["*"])
    mailing(f"smtp://127.0.0.1:{free_port()}?tls=none")
    await staff.post("/v1/accounts", json={"email": "ada@example.com", "name": "Ada"})
    waiting = await _outbox(kit, tenant.code)
    for _ in range(15):
        with pytest.raises(DeliveryFailed):
            await _deliver(kit, waiting)
    await kit.installation.directory.refresh()
    assert (await staff.get("/v1/accounts")).status_code == 200


async def _outbox(kit: TestKit, code: str) -> list[bytes]:
    async with kit.installation.database.owner() as owner:
        rows = await owner.fetch(
            "DELETE FROM pss.outbox WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1 "
            "RETURNING payload",
            code,
        )
    return [row["payload"] for row in rows]


async def _deliver(kit: TestKit, payloads: list[bytes]) -> None:
    from pss_kernel.messaging._deliver import deliver  # noqa: PLC0415
    from pss_kernel.messaging._envelope import Envelope  # noqa: PLC0415

    for payload in payloads:
        await deliver(kit.installation, msgspec.json.decode(payload, type=Envelope))
