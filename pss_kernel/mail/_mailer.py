"""Handing mail to a server, or into a folder."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import aiosmtplib
import structlog

from pss_kernel.config import KERNEL
from pss_kernel.errors import Invalid, Unavailable, UpstreamUnavailable
from pss_kernel.mail._server import MailServer
from pss_kernel.outgoing import CallLimits, NoAnswer, Outgoing

if TYPE_CHECKING:
    from pss_kernel.config import Config
    from pss_kernel.mail._letter import Letter

__all__ = ["Mailer"]

_log = structlog.get_logger("pss.mail")

_SECONDS = 10.0  # for each exchange with the server; below the time budget of an event's handler
_LIMITS = CallLimits(total_seconds=2 * _SECONDS, concurrent=8)
_PERMANENT = 500  # replies of 5xx: the same mail will not be taken later either (RFC 5321, 4.2.1)


class Mailer:
    """Sends letters as the configuration says."""

    def __init__(self, config: Config, *, embedded: bool, outgoing: Outgoing | None = None) -> None:
        self._outgoing = outgoing or Outgoing(config)
        self._server = None
        self._folder: Path | None = None
        self._sender = config.mail_from
        if config.smtp_url is not None:
            self._server = MailServer.parse(config.smtp_url.reveal())
            if "@" not in config.mail_from:
                raise Invalid(
                    "PSS_SMTP_URL is set and PSS_MAIL_FROM is not.",
                    code="invalid-configuration",
                    mend="Give the address that mail is sent from.",
                )
        elif embedded:
            self._folder = config.data_dir / "mail"
            self._sender = config.mail_from or f"pss@{config.base_domain}"

    def refuse_unconfigured(self) -> None:
        """Raises Unavailable (``mail-not-configured``) where no mail can be sent at all."""
        if self._server is None and self._folder is None:
            raise Unavailable(
                "This installation can't send mail.",
                code="mail-not-configured",
                mend="Its operator sets PSS_SMTP_URL and PSS_MAIL_FROM.",
                retryable=False,
            )

    async def send(self, letter: Letter, *, tenant: str) -> None:
        """Send it now.

        Raises Unavailable where the server can't be reached or wants it later. What it refuses
        for good, as an address that isn't there, is told to the log alone.
        """
        self.refuse_unconfigured()
        try:
            message = letter.message(self._sender)
        except ValueError:  # what is stored there is no address
            _log.warning("mail_refused", tenant=tenant, codes=[])
            return
        if self._server is not None:
            await self._hand_in(self._server, message, tenant)
        else:
            assert self._folder is not None
            path = await asyncio.to_thread(_keep, self._folder, message)
            _log.info("mail_written", tenant=tenant, path=str(path))

    async def _hand_in(self, server: MailServer, message: EmailMessage, tenant: str) -> None:
        async def attempt() -> None:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.tls == "implicit",
                start_tls=server.tls == "starttls",
                timeout=_SECONDS,
            )

        try:
            # Once: what was handed in, and not answered, would be sent twice.
            await self._outgoing.target(tenant, KERNEL, "mail", _LIMITS).call(attempt)
        except UpstreamUnavailable as error:
            raise _later(server, error.__cause__ or error) from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [one.code for one in error.recipients]
            if min(codes, default=0) < _PERMANENT:
                raise _later(server, error) from error
            _log.warning("mail_refused", tenant=tenant, codes=codes)
        except aiosmtplib.SMTPException as error:
            raise _later(server, error) from error


def _later(server: MailServer, error: BaseException) -> Unavailable:
    """Without what the server said, which may hold an address."""
    kind = error.reason if isinstance(error, NoAnswer) else type(error).__name__
    return Unavailable(
        f"The mail server {server.host}:{server.port} did not take a mail ({kind}).",
        code="mail-unavailable",
    )


def _keep(folder: Path, message: EmailMessage) -> Path:
    """Write it where only its owner reads it: its link is as good as a password."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{token_hex(4)}.eml"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - made with its rights at once
        file.write(message.as_bytes(policy=SMTP))
    return path
