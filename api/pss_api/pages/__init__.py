"""The web pages that links in mails lead to, and where people sign in and look after their account.

Shells without a person's data: their scripts ask the interface, as anybody's own pages would.
"""

from pss_api.pages.serving import account_pages

__all__ = ["account_pages"]
