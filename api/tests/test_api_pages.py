"""The web pages of accounts: in the airline's colours, strict, and without anybody's data."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

import pss_api.pages
from pss_api import create_app
from pss_api.pages.brand import contrast, legible, logo_of, readable_on, style_of
from pss_kernel import Tenant
from pss_kernel.installation import Installation
from pss_kernel.tenancy._provision import create_tenant

_PAGES = [
    "/account",
    "/account/sign-in",
    "/account/signed-on",
    "/account/invitation",
    "/account/password-reset",
    "/account/verification",
]
_FOLDER = Path(pss_api.pages.__file__).parent
_LOGO = "data:image/svg+xml;base64,PHN2Zy8+"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def airline(installation: Installation) -> Tenant:
    """A tenant whose name and colour would do harm where they were not looked at."""
    return await create_tenant(
        installation,
        f"pages_{secrets.token_hex(4)}",
        name='Bird & <script>"Co',
        currency="EUR",
        time_zone="UTC",
        brand={"primary_color": "#ffee00", "logo": _LOGO, "support_email": "help@bird.example"},
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(installation: Installation, airline: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    """A client at the tenant's own host name."""
    host = f"{airline.code.replace('_', '-')}.{installation.config.base_domain}"
    transport = httpx.ASGITransport(create_app(installation))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}:8000") as opened:
        yield opened


@pytest.mark.parametrize("path", _PAGES)
async def test_a_page(browser: httpx.AsyncClient, path: str) -> None:
    """Is the tenant's, is never kept, and may do nothing but run its own scripts."""
    answer = await browser.get(path)
    assert (200, "text/html; charset=utf-8") == (
        answer.status_code,
        answer.headers["content-type"],
    )
    policy = dict(
        one.strip().partition(" ")[::2]
        for one in answer.headers["content-security-policy"].split(";")
    )
    assert {
        "default-src": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "connect-src": "'self'",
        "font-src": "'self'",
        "img-src": "'self' data:",
        "script-src": "'self'",
        "style-src": "'self'",
    } == policy
    assert "no-store" == answer.headers["cache-control"]
    assert "no-referrer" == answer.headers["referrer-policy"]
    assert "set-cookie" not in answer.headers
    assert "Bird &amp; &lt;script&gt;&#34;Co" in answer.text
    assert _LOGO in answer.text
    assert [] == re.findall(r"<script>|<style|\sstyle=|\son[a-z]+=", answer.text)
    assert [] == re.findall(r'(?:src|href)="(?!/account|data:|mailto:)[^"]*"', answer.text)


async def _loaded(browser: httpx.AsyncClient, page: str) -> dict[str, str]:
    """All that a page loads, and what that imports: address to text, each found as its type."""
    waiting = re.findall(r'(?:src|href)="(/account/[^"]+\.(?:js|css))"', page)
    loaded: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in loaded:
            continue
        answer = await browser.get(name)
        kind = "text/javascript" if name.endswith(".js") else "text/css"
        assert (200, kind) == (answer.status_code, answer.headers["content-type"].split(";")[0])
        assert answer.headers["cache-control"] in {"no-cache", "no-store"}
        loaded[name] = answer.text
        imported = re.findall(r'from "\./([^"]+)"', answer.text)
        waiting += [f"/account/assets/{one}" for one in imported]
    return loaded


@pytest.mark.parametrize("path", _PAGES)
async def test_scripts_find_their_elements(browser: httpx.AsyncClient, path: str) -> None:
    """What a page loads is there; each id that its scripts ask for is on the page, once."""
    page = (await browser.get(path)).text
    loaded = await _loaded(browser, page)
    assert {"/account/assets/pages.css", "/account/brand.css"} < loaded.keys()
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    wanted = {one for text in loaded.values() for one in re.findall(r'element\("([^"]+)"\)', text)}
    assert wanted
    assert set() == wanted - set(ids)


@pytest.mark.parametrize("path", _PAGES)
async def test_fields_can_be_used_by_everybody(browser: httpx.AsyncClient, path: str) -> None:
    """Each field has a label, says what belongs in it, and where its error will stand."""
    page = (await browser.get(path)).text
    ids = set(re.findall(r'\sid="([^"]+)"', page))
    labelled = set(re.findall(r'<label for="([^"]+)"', page))
    for field in re.findall(r"<input ([^>]+)>", page):
        facts = dict(re.findall(r'([a-z-]+)="([^"]*)"', field))
        if facts.get("type") == "checkbox" or facts.get("aria-hidden"):
            continue
        assert facts["id"] in labelled
        assert facts["autocomplete"] in {
            "username",
            "current-password",
            "new-password",
            "one-time-code",
            "off",
        }
        assert set(facts["aria-describedby"].split()) <= ids
        assert f"{facts['id']}-error" in facts["aria-describedby"]
    assert '<html lang="en">' in page


async def test_whose_pages(browser: httpx.AsyncClient, airline: Tenant) -> None:
    """The host name says it alone; elsewhere people are told that there is nothing."""
    at = {"Host": "nobody.invalid", "PSS-Tenant": airline.code}
    answer = await browser.get(f"/account/sign-in?tenant={airline.code}", headers=at)
    assert (404, "text/html; charset=utf-8") == (
        answer.status_code,
        answer.headers["content-type"],
    )
    assert "There is nothing here" in answer.text
    assert "Bird" not in answer.text
    assert 404 == (await browser.get("/account/brand.css", headers=at)).status_code


async def test_pages_are_no_part_of_the_interface(browser: httpx.AsyncClient) -> None:
    """The OpenAPI document doesn't know them."""
    paths = (await browser.get("/docs/openapi.json")).json()["paths"]
    assert [] == [one for one in paths if one.startswith("/account")]


async def test_style(browser: httpx.AsyncClient) -> None:
    """The tenant's colour as it is, and one made of it that can be read."""
    style = (await browser.get("/account/brand.css")).text
    assert "--brand: #ffee00;" in style
    accent = re.findall(r"--accent: (#[0-9a-f]{6})", style)
    assert contrast(accent[0], "#ffffff") >= 4.5
    assert contrast(accent[1], "#1b1f26") >= 4.5


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#777777", "#ff6b4a", "#14213d"])
def test_any_colour_can_be_read(colour: str) -> None:
    """As text on either ground, and with text on it (WCAG 2.2, 1.4.3)."""
    for ground in ("#ffffff", "#1b1f26"):
        accent = legible(colour, ground)
        assert contrast(accent, ground) >= 4.5
        assert contrast(readable_on(accent), accent) >= 4.5


def test_contrast() -> None:
    """The definition's own ends, and a pair whose ratio is well known."""
    assert 21 == contrast("#000000", "#ffffff")
    assert 1 == contrast("#14213d", "#14213d")
    assert 4.48 == round(contrast("#777777", "#ffffff"), 2)


def test_brands_are_not_believed() -> None:
    """What is no colour and no picture reaches no page."""
    assert "--brand: #1f3a5f" in style_of({"primary_color": "red;} body{display:none"})
    assert logo_of({"logo": "https://elsewhere.example/logo.svg"}) is None
    assert logo_of({"logo": 'data:text/html;base64,"><script>'}) is None


def test_scripts_make_no_markup_and_keep_nothing() -> None:
    """No text becomes markup or code, and tokens get into no cookie and no lasting store."""
    scripts = sorted((_FOLDER / "assets").glob("*.js"))
    assert scripts
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function"
        r"|localStorage|\.cookie"
    )
    for script in scripts:
        assert [] == re.findall(forbidden, script.read_text()), script.name
