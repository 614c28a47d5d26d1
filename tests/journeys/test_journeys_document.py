"""The whole OpenAPI document, tried by schemathesis: no internal error, no undocumented answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyotp
import pytest

if TYPE_CHECKING:
    from conftest import Running

pytestmark = [pytest.mark.xdist_group("journeys")]

_EXAMPLES = os.environ.get("PSS_TEST_EXAMPLES")
"""For each operation; without it a few, and the cases at the edges of each schema are left out."""
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "ignored_auth",
)


_SIGNS_OUT = "/v1/sessions/current"  # all that came after it would be refused for that alone


def _signed_in(running: Running, code: str) -> str:
    """The access token of a super admin with a second factor, got as a new one would."""
    invited = subprocess.run(
        [
            *(sys.executable, "-m", "pss_kernel.cli", "account", "invite"),
            *("chief@example.org", "--tenant", code, "--name", "Chief", "--role", "super_admin"),
            *("--print-link", "--data-dir", str(running.data_dir)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    password = "grey-heron-at-dawn-77"
    link = invited.stdout.split("#token=")[1].split()[0]
    with httpx.Client(base_url=running.address, headers={"PSS-Tenant": code}) as client:

        def post(path: str, body: dict[str, str]) -> Any:
            answer = client.post(path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        post("/v1/account-links/acceptances", {"token": link, "password": password})
        session = post("/v1/sessions", {"email": "chief@example.org", "password": password})
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        app = post("/v1/me/factors/totp", {})
        code_now = pyotp.TOTP(app["secret"]).now()
        added = post(f"/v1/me/factors/{app['id']}/confirm", {"code": code_now})
    token: str = added["token"]["access_token"]
    return token


@pytest.mark.timeout(900)
@pytest.mark.parametrize("who", ["staff", "guest", "super_admin"])
def test_every_operation(running: Running, tmp_path: Path, who: str) -> None:
    """What fits the document and what does not are both answered as the document says."""
    (code, key), *_ = running.keys.items()
    headers = [f"PSS-Tenant: {code}"]
    if who == "staff":
        headers.append(f"Authorization: Bearer {key}")
    if who == "super_admin":
        headers.append(f"Authorization: Bearer {_signed_in(running, code)}")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            *("run", f"{running.address}/docs/openapi.json", "--url", running.address),
            *(part for one in headers for part in ("--header", one)),
            *("--phases", "examples,coverage,fuzzing" if _EXAMPLES else "examples,fuzzing"),
            *("--exclude-path", _SIGNS_OUT),
            *("--max-examples", _EXAMPLES or "3", "--checks", ",".join(_CHECKS)),
            *("--seed", "1", "--generation-database", "none", "--no-color"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # it writes what it has found
    )
    assert 0 == done.returncode, done.stdout[-12_000:] + done.stderr[-2_000:]
    assert "0 generated" not in done.stdout
