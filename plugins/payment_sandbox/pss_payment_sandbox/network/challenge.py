"""The page on which a customer answers the card issuer, in the manner of 3-D Secure."""

from decimal import Decimal
from html import escape
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from . import charges
from .charges import Charge, Refusal

__all__ = ["answer_challenge", "show_challenge"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Confirm your payment</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; background: #eef1f5; color: #1c2733; }}
main {{ max-width: 24rem; margin: 12vh auto; padding: 2rem; background: #fff;
        border-radius: 12px; box-shadow: 0 8px 30px rgb(20 40 70 / .12); }}
h1 {{ font-size: 1.25rem; margin: 0 0 .5rem; }} p {{ margin: 0 0 1.5rem; }}
strong {{ font-size: 1.6rem; display: block; }}
button {{ font: inherit; padding: .7rem 1.2rem; border-radius: 8px; border: 1px solid #2457a6;
          background: #2457a6; color: #fff; cursor: pointer; }}
button[value=decline] {{ background: none; color: #2457a6; }}
</style></head><body><main>{content}</main></body></html>"""

# Digits after the decimal point where they are not two (ISO 4217, list one).
_EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


class ChallengeAnswer(msgspec.Struct):
    """The button that was pressed."""

    answer: Literal["approve", "decline"]


def _amount(charge: Charge) -> str:
    digits = _EXPONENTS.get(charge.currency, 2)
    return f"{Decimal(charge.amount_minor).scaleb(-digits):,.{digits}f} {charge.currency}"


def _page(content: str) -> Response[str]:
    return Response(_PAGE.format(content=content), media_type="text/html")


def _back(charge: Charge) -> Redirect | None:
    """To the shop, if it gave an address of the web to return to."""
    if charge.return_url and urlsplit(charge.return_url).scheme in {"http", "https"}:
        return Redirect(charge.return_url, status_code=303)
    return None


@get("/challenge/{charge_id:str}", sync_to_thread=False)
def show_challenge(state: State, charge_id: FromPath[str]) -> Response[str]:
    """Ask the customer to confirm the payment."""
    charge = state.network.store.by_id(charge_id)
    if charge is None:
        raise NotFoundException("There is no such charge.")
    if charge.status != "requires_action":
        return _page("<h1>This payment has been answered.</h1>")
    return _page(
        f"<h1>Confirm your payment</h1><p><strong>{escape(_amount(charge))}</strong>"
        f"to {escape(charge.merchant)}</p>"
        '<form method="post"><button name="answer" value="approve">Confirm</button> '
        '<button name="answer" value="decline">Decline</button></form>'
    )


@post("/challenge/{charge_id:str}", status_code=200, sync_to_thread=False)
def answer_challenge(
    state: State,
    charge_id: FromPath[str],
    data: URLEncodedBody[ChallengeAnswer],
) -> Response[Any]:
    """Take the customer's answer and lead back to the shop."""
    approved = data.answer == "approve"
    try:
        charge = state.network.store.change(
            charge_id, lambda found: charges.answer_challenge(found, approved=approved)
        )
    except Refusal as refusal:
        raise ClientException(refusal.detail, status_code=409) from refusal
    verdict = "confirmed" if approved else "declined"
    return _back(charge) or _page(f"<h1>The payment is {verdict}.</h1>You may close this page.")
