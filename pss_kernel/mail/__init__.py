"""Sending mail: over SMTP, or into a folder while somebody tries things out."""

from pss_kernel.mail._letter import Letter
from pss_kernel.mail._mailer import Mailer
from pss_kernel.mail._server import MailServer

__all__ = ["Letter", "MailServer", "Mailer"]
