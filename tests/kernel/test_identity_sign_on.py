"""Single sign-on: against a provider that is honest, and against one that lies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from pss_kernel import Problem, Tenant
from pss_kernel.cli._children import free_port, wait_until_answering
from pss_kernel.identity.accounts.hashing import hashing
from pss_kernel.identity.accounts.passwords import check_password
from pss_kernel.testing import TestKit
from pss_outside.processes import process
from pss_outside.provider import CLIENT, LyingProvider, lying_provider

PAGE = "https://staff.example.com/signed-on"


@pytest.fixture
async def provider() -> AsyncIterator[LyingProvider]:
    async with lying_provider() as running:
        yield running


async def tenant_with(kit: TestKit, issuer: str, **changes: Any) -> Tenant:
    sign_on = {
        "issuer": issuer,
        "client_id": CLIENT,
        "client_secret": "s3cret",
        "redirect_uris": [PAGE, "https://other.example.com/"],
        "create_accounts": True,
        "default_roles": ["agent"],
        **changes,
    }
    return await kit.make_tenant(settings={"identity": {"sign_on": sign_on}})


@contextlib.asynccontextmanager
async def browser(kit: TestKit, issuer: str, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    tenant = await tenant_with(kit, issuer, **changes)
    async with kit.http(tenant) as client:
        client.tenant = tenant  # type: ignore[attr-defined]  # for the assertions
        yield client


def query_of(url: str) -> dict[str, str]:
    return {name: one[0] for name, one in parse_qs(urlsplit(url).query).items()}


async def begin(client: httpx.AsyncClient) -> dict[str, Any]:
    begun = await client.post("/v1/sign-on", json={})
    assert 200 == begun.status_code, begun.text
    return dict(begun.json())


async def come_back(client: httpx.AsyncClient, **answer: str) -> httpx.Response:
    return await client.post("/v1/sign-on/callback", json=answer)


async def sign_on(
    client: httpx.AsyncClient, provider: LyingProvider, **claims: Any
) -> httpx.Response:
    begun = await begin(client)
    back = provider.authorise(begun["authorization_url"], **claims)
    return await come_back(client, **back, step=begun["step"])


async def me(client: httpx.AsyncClient, signed_in: httpx.Response) -> dict[str, Any]:
    assert 201 == signed_in.status_code, signed_in.text
    token = signed_in.json()["access_token"]
    found = await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert 200 == found.status_code, found.text
    return dict(found.json())


async def trail(kit: TestKit, client: Any) -> list[dict[str, Any]]:
    """The audit entries of the tenant, oldest first."""
    async with kit.unit_of_work(client.tenant) as uow, uow.acting("identity"):
        rows = await uow.hot("SELECT entry FROM audit_entry ORDER BY position")
    return [json.loads(row["entry"]) for row in rows]


async def account_row(kit: TestKit, client: Any, email: str) -> Any:
    async with kit.unit_of_work(client.tenant) as uow, uow.acting("identity"):
        rows = await uow.hot("SELECT * FROM account WHERE email_key = $1", email)
    return rows[0] if rows else None


async def add_account(
    kit: TestKit, client: Any, email: str, *, kind: str = "staff", state: str = "active"
) -> str:
    account_id = f"acc_{email.partition('@')[0]}"
    async with kit.unit_of_work(client.tenant) as uow, uow.acting("identity"):
        await uow.hot(
            "INSERT INTO account (account_id, email, email_key, name, kind, state, created_by)"
            " VALUES ($1, $2, $2, 'X', $3, $4, 'test')",
            *(account_id, email, kind, state),
        )
    return account_id


# --- an honest provider -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A provider that others have written, in a process of its own; gives its issuer."""
    port = free_port()
    ada = {"sub": "u1", "email": "Ada@Example.com", "email_verified": True, "name": "Ada"}
    log = tmp_path_factory.mktemp("provider") / "log"
    arguments = ("--port", str(port), "--require-nonce", "--user-claims", json.dumps(ada))
    with process(log, "oidc_provider_mock", *arguments) as running:
        issuer = f"http://127.0.0.1:{port}"
        wait_until_answering(issuer, lambda: running.poll() is None)
        yield issuer


async def test_the_whole_way(kit: TestKit, honest: str) -> None:
    """From our address to the provider's page, through it, and back with a session."""
    async with browser(kit, honest) as client, httpx.AsyncClient() as outside:
        for turn in range(2):
            begun = await begin(client)
            page = await outside.post(begun["authorization_url"], data={"sub": "u1"})
            assert 302 == page.status_code
            assert page.headers["location"].startswith(f"{PAGE}?")
            back = query_of(page.headers["location"])
            answer = await come_back(
                client, code=back["code"], state=back["state"], step=begun["step"]
            )
            found = await me(client, answer)
            assert (["agent"], ["fed"]) == (found["roles"], found["methods"])
            row = await account_row(kit, client, "ada@example.com")
            assert (found["id"], "Ada", "active") == (row["account_id"], row["name"], row["state"])
            actions = [one["action"] for one in await trail(kit, client)]
            assert turn + 1 == actions.count("session.opened")
            assert 1 == actions.count("account.created") == actions.count("sign-on.linked")


async def test_what_is_asked_for(kit: TestKit, provider: LyingProvider) -> None:
    """A code with PKCE, state and nonce, each new and unguessable, for a page that is known."""
    async with browser(kit, provider.url) as client:
        asked = []
        for _ in range(2):
            begun = await begin(client)
            asked.append(query_of(begun["authorization_url"]))
        one, two = asked
        assert (PAGE, "openid email profile", "code") == (
            *(one["redirect_uri"], one["scope"], one["response_type"]),
        )
        for name in ("state", "nonce", "code_challenge"):
            assert one[name] != two[name]
            assert len(one[name]) >= 43
        evil = await client.post("/v1/sign-on", json={"redirect_uri": f"{PAGE}/../evil"})
        assert (422, "redirect-uri-unknown") == (evil.status_code, evil.json()["code"])
        other = await client.post(
            "/v1/sign-on", json={"redirect_uri": "https://other.example.com/"}
        )
        assert 200 == other.status_code


async def test_not_offered(kit: TestKit) -> None:
    """A tenant without the setting has no single sign-on."""
    async with kit.http(await kit.make_tenant()) as client:
        for path, body in (
            ("/v1/sign-on", {}),
            ("/v1/sign-on/callback", {"step": "x", "state": "x", "code": "x"}),
        ):
            answer = await client.post(path, json=body)
            assert (404, "sign-on-not-offered") == (answer.status_code, answer.json()["code"])


# --- tokens that don't hold -------------------------------------------------------------------


def part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def unsigned(claims: dict[str, Any], algorithm: str = "none") -> str:
    header = {"alg": algorithm, "typ": "JWT", "kid": "one"}
    return f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}."


def shared(claims: dict[str, Any], secret: bytes) -> str:
    """Signed with a secret (HS256), whatever the library thinks of it."""
    text = unsigned(claims, "HS256").rstrip(".")
    return f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256'))}"


LIES: dict[str, Any] = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "another"},
    "another audience, too": {"aud": [CLIENT, "another"]},
    "another party": {"aud": [CLIENT, "another"], "azp": "another"},
    "another issuer": {"iss": "https://evil.example.com"},
    "expired": {"exp": 1},
    "without an end": {"exp": None},
    "from the future": {"nbf": 4_000_000_000},
    "issued in the future": {"iat": 4_000_000_000},
    "nobody": {"sub": ""},
    "no subject": {"sub": None},
    "a number": {"sub": 7},
    "another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_claims_that_do_not_hold(kit: TestKit, provider: LyingProvider, lie: str) -> None:
    """Whatever the token claims wrongly, nobody gets in, and it stands in the trail."""

    def change(claims: dict[str, Any]) -> None:
        claims |= LIES[lie]
        for name in [name for name, value in claims.items() if value is None]:
            del claims[name]

    provider.change = change
    async with browser(kit, provider.url) as client:
        answer = await sign_on(client, provider)
        assert (401, "sign-on-refused") == (answer.status_code, answer.json()["code"])
        assert await account_row(kit, client, "ada@example.com") is None
        entry = (await trail(kit, client))[-1]
        assert ("sign-on.refused", {"code": "sign-on-refused"}) == (
            entry["action"],
            entry["after"],
        )


def forgeries(provider: LyingProvider) -> dict[str, Any]:
    public = provider.key.as_pem(private=False)
    stranger = RSAKey.generate_key(2048)
    return {
        "unsigned": unsigned,
        "signed with the public key as a secret": lambda claims: shared(claims, public),
        "signed with the client's secret": lambda claims: shared(claims, b"s3cret"),
        "a stranger's key": lambda claims: provider.signed(claims, stranger),
        "a stranger's key, brought along": lambda claims: provider.signed(
            claims, stranger, jwk=stranger.as_dict(private=False)
        ),
        "an unknown key": lambda claims: provider.signed(claims, stranger, kid="two"),
        "altered": lambda claims: provider.signed(claims)[:-8] + "AAAAAAAA",
        "no token": lambda _: "nothing",
    }


@pytest.mark.parametrize("how", forgeries(LyingProvider()))
async def test_signatures_that_do_not_hold(kit: TestKit, provider: LyingProvider, how: str) -> None:
    """Only a signature with one of the provider's own keys is believed."""
    provider.sign = forgeries(provider)[how]
    async with browser(kit, provider.url) as client:
        answer = await sign_on(client, provider)
        assert (401, "sign-on-refused") == (answer.status_code, answer.json()["code"])
        assert await account_row(kit, client, "ada@example.com") is None


async def test_other_kinds_of_keys(kit: TestKit, provider: LyingProvider) -> None:
    """A provider with elliptic curves is as good."""
    key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
    provider.published = [provider.key, key]
    provider.sign = lambda claims: provider.signed(claims, key, "ES256", kid="ec")
    async with browser(kit, provider.url) as client:
        assert 201 == (await sign_on(client, provider)).status_code


async def test_keys_are_kept_and_renewed(
    kit: TestKit, provider: LyingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discovery and keys are asked for once; an unknown key has them asked for again, seldom."""
    async with browser(kit, provider.url) as client:
        for _ in range(2):
            assert 201 == (await sign_on(client, provider)).status_code
        assert 1 == provider.asked.count("/keys")
        new = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
        provider.key, provider.published = new, [new]
        assert 401 == (await sign_on(client, provider)).status_code  # too soon after the last
        assert 1 == provider.asked.count("/keys")
        monkeypatch.setattr("pss_kernel.identity.sign_on.provider._AGAIN_SECONDS", 0)
        assert 201 == (await sign_on(client, provider)).status_code
        assert 2 == provider.asked.count("/keys")


# --- the way there and back -------------------------------------------------------------------


async def test_step_and_state_belong_together(kit: TestKit, provider: LyingProvider) -> None:
    """Who has only one of them, or mixes those of two trips, gets nowhere; neither works twice."""
    async with browser(kit, provider.url) as client:
        one, two = await begin(client), await begin(client)
        back = provider.authorise(one["authorization_url"])
        other = provider.authorise(two["authorization_url"])
        mixed = await come_back(client, **back, step=two["step"])
        assert 401 == mixed.status_code
        again = await come_back(client, **other, step=two["step"])
        assert 401 == again.status_code  # the first return has used it up
        guessed = await come_back(client, **back, step="guessed")
        assert 401 == guessed.status_code
        assert 201 == (await come_back(client, **back, step=one["step"])).status_code
        assert 401 == (await come_back(client, **back, step=one["step"])).status_code
        assert {"sign-on-refused"} == {one.json()["code"] for one in (mixed, again, guessed)}


async def test_only_one_of_many_returns(kit: TestKit, provider: LyingProvider) -> None:
    """The same return sent many times at once opens one session."""
    async with browser(kit, provider.url) as client:
        begun = await begin(client)
        back = provider.authorise(begun["authorization_url"])
        answers = await asyncio.gather(
            *(come_back(client, **back, step=begun["step"]) for _ in range(5))
        )
        assert [201, 401, 401, 401, 401] == sorted(one.status_code for one in answers)


async def test_a_replayed_code(kit: TestKit, provider: LyingProvider) -> None:
    """A code that was used, or that another trip's verifier does not fit, is worth nothing."""
    async with browser(kit, provider.url) as client:
        begun = await begin(client)
        stolen = provider.authorise(begun["authorization_url"])
        own = await begin(client)
        mine = provider.authorise(own["authorization_url"])
        injected = await come_back(
            client, code=stolen["code"], state=mine["state"], step=own["step"]
        )
        assert 401 == injected.status_code


@pytest.mark.parametrize(
    ("announced", "iss", "status"),
    [
        (False, None, 201),
        (False, "own", 201),
        (False, "https://evil.example.com", 401),
        (True, None, 401),
        (True, "own", 201),
    ],
)
async def test_mixed_up_providers(
    kit: TestKit, provider: LyingProvider, announced: bool, iss: str | None, status: int
) -> None:
    """An answer that says it is from another provider, or should say from whom, is refused."""
    provider.metadata["authorization_response_iss_parameter_supported"] = announced
    async with browser(kit, provider.url) as client:
        begun = await begin(client)
        back = provider.authorise(begun["authorization_url"])
        if iss is not None:
            back["iss"] = provider.url if iss == "own" else iss
        assert status == (await come_back(client, **back, step=begun["step"])).status_code


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example.com"},
        {"token_endpoint": "http://169.254.169.254/latest"},
        {"jwks_uri": "http://10.0.0.1/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
    ],
)
async def test_a_discovery_that_is_not_to_be_trusted(
    kit: TestKit, provider: LyingProvider, metadata: dict[str, Any]
) -> None:
    """Another's document, and endpoints that lead inside, are not used."""
    provider.metadata |= metadata
    async with browser(kit, provider.url) as client:
        answer = await client.post("/v1/sign-on", json={})
        assert 503 == answer.status_code
        assert answer.json()["code"] in {"upstream-answer", "upstream-address"}
        assert "/token" not in provider.asked


async def test_a_provider_that_is_away(kit: TestKit, unused_tcp_port: int) -> None:
    """It is told as 503, and nothing waits for long."""
    async with browser(kit, f"http://127.0.0.1:{unused_tcp_port}") as client:
        answer = await client.post("/v1/sign-on", json={})
        assert (503, "upstream-unavailable") == (answer.status_code, answer.json()["code"])


# --- whose account it is ----------------------------------------------------------------------


async def test_linked_by_subject(kit: TestKit, provider: LyingProvider) -> None:
    """Once linked, the subject decides, whatever address comes with it."""
    async with browser(kit, provider.url) as client:
        first = await me(client, await sign_on(client, provider))
        again = await me(client, await sign_on(client, provider, email="new@example.com"))
        assert first["id"] == again["id"]
        other = await me(client, await sign_on(client, provider, sub="b", email="b@example.com"))
        assert other["id"] != first["id"]


@pytest.mark.parametrize("claims", [{"email_verified": False}, {"email_verified": None}])
async def test_an_address_that_nobody_has_verified(
    kit: TestKit, provider: LyingProvider, claims: dict[str, Any]
) -> None:
    """It leads to nobody's account, and to none of one's own."""
    async with browser(kit, provider.url) as client:
        await add_account(kit, client, "ada@example.com")
        answer = await sign_on(client, provider, sub="attacker", **claims)
        assert (403, "no-account") == (answer.status_code, answer.json()["code"])
        text = await sign_on(client, provider, sub="attacker", email_verified="true")
        assert 403 == text.status_code


async def test_invited_people(kit: TestKit, provider: LyingProvider) -> None:
    """Without 'create_accounts' only the invited come in, which accepts the invitation."""
    async with browser(kit, provider.url, create_accounts=False) as client:
        refused = await sign_on(client, provider)
        assert (403, "no-account") == (refused.status_code, refused.json()["code"])
        account_id = await add_account(kit, client, "ada@example.com", state="invited")
        assert account_id == (await me(client, await sign_on(client, provider)))["id"]
        row = await account_row(kit, client, "ada@example.com")
        assert "active" == row["state"]
        assert row["email_verified_at"] is not None


@pytest.mark.parametrize("facts", [{"state": "disabled"}, {"kind": "passenger"}])
async def test_accounts_that_may_not(
    kit: TestKit, provider: LyingProvider, facts: dict[str, str]
) -> None:
    """Disabled accounts, and those of people outside the staff, are not signed in to."""
    async with browser(kit, provider.url) as client:
        await add_account(kit, client, "ada@example.com", **facts)
        answer = await sign_on(client, provider)
        assert (403, "account-disabled") == (answer.status_code, answer.json()["code"])


async def test_domains(kit: TestKit, provider: LyingProvider) -> None:
    """Only the named domains, compared whole, with an address that was verified."""
    async with browser(kit, provider.url, email_domains=["example.com"]) as client:
        assert 201 == (await sign_on(client, provider, email="ada@EXAMPLE.com")).status_code
        for email in ("x@evil-example.com", "x@example.com.evil.com", "x@sub.example.com", None):
            answer = await sign_on(client, provider, sub="x", email=email)
            assert (403, "email-not-allowed") == (answer.status_code, answer.json()["code"])


async def test_roles_of_a_claim(kit: TestKit, provider: LyingProvider) -> None:
    """Known values give roles, at each sign-in anew; unknown ones give none."""
    settings = {"role_claim": "app.groups", "role_mapping": {"ops": "manager", "it": "admin"}}
    async with browser(kit, provider.url, second_factor_acr=[], **settings) as client:
        groups = [["ops", "super_admin", 7], ["it"], "ops", None]
        found = []
        for one in groups:
            signed_in = await sign_on(client, provider, app={"groups": one})
            found.append(sorted((await me(client, signed_in))["roles"]))
        assert [["agent", "manager"], ["admin", "agent"], ["agent", "manager"], ["agent"]] == found
        actions = [one["action"] for one in await trail(kit, client)]
        assert 3 == actions.count("account.roles-changed")


async def test_a_short_id_token(kit: TestKit, provider: LyingProvider) -> None:
    """What it leaves out is asked for, and believed where it is about the same person."""
    provider.userinfo = {"sub": "ada", "email": "ada@example.com", "email_verified": True}
    async with browser(kit, provider.url) as client:
        short = {"email": None, "email_verified": None}
        assert 201 == (await sign_on(client, provider, **short)).status_code
        answer = await sign_on(client, provider, sub="another", **short)
        assert (403, "no-account") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    ("trusted", "claims", "expected"),
    [
        (False, {"amr": ["pwd", "mfa"]}, ["fed"]),
        (True, {"amr": ["pwd", "mfa", "evil"]}, ["fed", "mfa", "pwd"]),
        (True, {"acr": "gold"}, ["fed", "mfa"]),
        (True, {"acr": "silver"}, ["fed"]),
        (True, {}, ["fed"]),
    ],
)
async def test_methods(
    kit: TestKit,
    provider: LyingProvider,
    trusted: bool,
    claims: dict[str, Any],
    expected: list[str],
) -> None:
    """What the provider says of how somebody proved who it is counts where it is trusted."""
    settings = {"trust_second_factor": trusted, "second_factor_acr": ["gold"]}
    async with browser(kit, provider.url, **settings) as client:
        found = await me(client, await sign_on(client, provider, **claims))
        assert expected == found["methods"]


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_second_factor(kit: TestKit, provider: LyingProvider, trusted: bool) -> None:
    """Who has one here is asked for it, unless the provider has asked and is trusted with it."""
    async with browser(kit, provider.url, trust_second_factor=trusted) as client:
        account_id = await add_account(kit, client, "ada@example.com")
        async with kit.unit_of_work(client.tenant) as uow, uow.acting("identity"):  # type: ignore[attr-defined]
            await uow.hot(
                "INSERT INTO factor (factor_id, account_id, kind, name, confirmed_at)"
                " VALUES ('fac_1', $1, 'totp', 'x', now())",
                account_id,
            )
        answer = await sign_on(client, provider, amr=["pwd", "mfa"])
        assert (201 if trusted else 200) == answer.status_code
        assert trusted != ("second_factor" in answer.json())


async def test_tenants_do_not_mix(kit: TestKit, provider: LyingProvider) -> None:
    """A trip that was begun at one tenant can't be ended at another with the same provider."""
    async with browser(kit, provider.url) as one, browser(kit, provider.url) as two:
        begun = await begin(one)
        back = provider.authorise(begun["authorization_url"])
        assert 401 == (await come_back(two, **back, step=begun["step"])).status_code
        assert 201 == (await come_back(one, **back, step=begun["step"])).status_code


async def test_secrets_stay_here(
    kit: TestKit, provider: LyingProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the client's secret nor a code or token gets into the trail or a log line."""
    async with browser(kit, provider.url) as client:
        begun = await begin(client)
        back = provider.authorise(begun["authorization_url"])
        signed_in = await come_back(client, **back, step=begun["step"])
        provider.sign = unsigned
        await sign_on(client, provider)
        said = capsys.readouterr()
        told = json.dumps(await trail(kit, client)) + said.out + said.err
        for secret in ("s3cret", begun["step"], back["state"], signed_in.json()["access_token"]):
            assert secret not in told


@pytest.mark.parametrize(
    ("kind", "only", "code"),
    [("staff", True, "sign-on-only"), ("staff", False, None), ("passenger", True, None)],
)
async def test_passwords_of_staff(kit: TestKit, kind: str, only: bool, code: str | None) -> None:
    """They can be given up; other people's go on. A wrong one tells nothing of it."""
    async with browser(kit, "https://login.example.com", only=only) as client:
        account_id = await add_account(kit, client, "ada@example.com", kind=kind)
        tenant = client.tenant  # type: ignore[attr-defined]
        async with kit.unit_of_work(tenant) as uow, uow.acting("identity"):
            await uow.hot(
                "UPDATE account SET password_hash = $2 WHERE account_id = $1",
                *(account_id, await hashing.hash("open sesame open")),
            )
        work = kit.installation.work(tenant, plugin="identity")
        with pytest.raises(Problem) as wrong:
            await check_password(work, "ada@example.com", "another one")
        assert "wrong-credentials" == wrong.value.code
        if code is None:
            found = await check_password(work, "ada@example.com", "open sesame open")
            assert account_id == found.account_id
        else:
            with pytest.raises(Problem) as refused:
                await check_password(work, "ada@example.com", "open sesame open")
            assert code == refused.value.code
