"""What a mail says: once as plain text, once as simple HTML."""

from __future__ import annotations

import html
import unicodedata
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid

__all__ = ["Letter"]

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="margin:0;padding:24px;background:#f4f4f5;color:#18181b;\
font-family:system-ui,sans-serif;font-size:16px;line-height:1.5">
<div style="max-width:560px;margin:0 auto;padding:32px;background:#ffffff;border-radius:8px">
<p style="margin:0 0 24px;font-weight:600">{brand}</p>
{body}
</div>
</body>
</html>
"""
_PARAGRAPH = '<p style="margin:0 0 16px">{}</p>'
_LINK = (
    '<p style="margin:24px 0"><a href="{url}" style="display:inline-block;padding:12px 20px;'
    'background:#1d4ed8;color:#ffffff;text-decoration:none;border-radius:6px">{label}</a></p>'
    '<p style="margin:0 0 16px;font-size:13px;color:#52525b;word-break:break-all">{url}</p>'
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to one person. Whatever stands in it, it is text: no header, no markup."""

    to: str
    brand: str
    """The name that it is sent in."""
    subject: str
    paragraphs: list[str]
    link: tuple[str, str] | None = field(default=None, repr=False)
    """A label and a URL, after the first paragraph."""

    def message(self, sender: str) -> EmailMessage:
        """The message as it is sent, from the address ``sender``."""
        message = EmailMessage()
        brand = _line(self.brand)
        message["From"] = Address(display_name=brand, addr_spec=sender)
        message["To"] = Address(addr_spec=self.to)
        message["Subject"] = _line(self.subject)
        message["Date"] = localtime()
        message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
        message.set_content(self._text())
        message.add_alternative(self._html(), subtype="html")
        return message

    def _text(self) -> str:
        parts = [_line(one) for one in self.paragraphs]
        if self.link is not None:
            parts.insert(1, f"{self.link[0]}:\n{self.link[1]}")
        return "\n\n".join([*parts, f"-- \n{_line(self.brand)}"]) + "\n"

    def _html(self) -> str:
        parts = [_PARAGRAPH.format(html.escape(_line(one))) for one in self.paragraphs]
        if self.link is not None:
            label, url = (html.escape(one) for one in self.link)
            parts.insert(1, _LINK.format(label=label, url=url))
        title, brand = html.escape(_line(self.subject)), html.escape(_line(self.brand))
        return _PAGE.format(title=title, brand=brand, body="\n".join(parts))


def _line(text: str) -> str:
    """One line without control characters, which must not begin a header."""
    spaced = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text)
    return " ".join(spaced.split())
