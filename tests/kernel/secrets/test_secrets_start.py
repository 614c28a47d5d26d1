"""Starting with missing or well-known secrets is refused; where each secret is from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pss_kernel.config import Config
from pss_kernel.errors import Invalid
from pss_kernel.keys._key_file import make_key_file, new_key_text
from pss_kernel.keys._refusals import refusals, refuse_insecure
from pss_kernel.keys._sources import resolved, sources
from pss_outside.vault import Vault

GOOD = {
    "PSS_DATABASE_URL": "postgresql://owner:aQ7Rf2dW@db.example/pss",
    "PSS_APP_DATABASE_URL": "postgresql://pss_app:Zt5Kp9xL@db.example/pss",
    "PSS_AMQP_URL": "amqp://pss:Vb3Nm8yH@mq.example/",
    "PSS_MASTER_KEY": new_key_text(),
}


def refused(**changes: str) -> list[str]:
    """The variables that a configuration is refused for."""
    environment = {name: value for name, value in (GOOD | changes).items() if value}
    config = Config.from_environment(environment)
    found = [one.variable for one in refusals(config, environment)]
    if found:
        with pytest.raises(Invalid) as problem:
            refuse_insecure(config, environment)
        assert "insecure-configuration" == problem.value.code
        assert all(name in problem.value.sentence for name in found)
        for value in environment.values():
            password = value.rpartition("@")[0].rpartition(":")[2]
            assert not password or password in found or f":{password}@" not in str(problem.value)
    else:
        refuse_insecure(config, environment)
    return found


def test_good_secrets() -> None:
    """Nothing is said of secrets that nobody knows."""
    assert [] == refused()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres:postgres@db.example/pss",
        "postgresql://owner:PSS@db.example/pss",
        "postgresql://owner:changeme@10.0.0.1/pss",
        "postgresql://owner:owner@db.example/pss",
        "postgresql://owner:p%61ssword@db.example/pss",
        "postgresql://owner:@db.example/pss",
        "postgresql://owner:postgres@/pss?host=db.example",
    ],
)
def test_passwords_that_everybody_knows(url: str) -> None:
    """Of a server elsewhere; whichever variable it is in."""
    assert ["PSS_DATABASE_URL"] == refused(PSS_DATABASE_URL=url)
    assert ["PSS_APP_DATABASE_URL"] == refused(PSS_APP_DATABASE_URL=url)
    cell = {"PSS_CELLS": "east", "PSS_CELL_EAST_DATABASE_URL": url}
    assert ["PSS_CELL_EAST_DATABASE_URL"] == refused(**cell)


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://postgres:postgres@127.0.0.1/pss", "postgresql://postgres@localhost/pss"),
        *("postgresql://postgres:postgres@[::1]/pss", "postgresql://owner@db.example/pss"),
        "postgresql://postgres:postgres@/pss?host=/var/run/postgresql",
    ],
)
def test_passwords_of_this_machine(url: str) -> None:
    """On this machine they are for trying out; without one, a certificate may be used."""
    assert [] == refused(PSS_DATABASE_URL=url)


@pytest.mark.parametrize("url", ["amqp://guest:guest@mq.example/", "amqp://mq.example/"])
def test_guests_of_the_broker(url: str) -> None:
    """RabbitMQ's own default, written or left out."""
    assert ["PSS_AMQP_URL"] == refused(PSS_AMQP_URL=url)
    assert [] == refused(PSS_AMQP_URL=url.replace("mq.example", "127.0.0.1"))


def test_other_urls() -> None:
    """The cache's and the mail server's as well."""
    assert ["PSS_REDIS_URL"] == refused(PSS_REDIS_URL="redis://:changeme@cache.example/0")
    assert [] == refused(PSS_REDIS_URL="redis://cache.example/0")
    assert ["PSS_SMTP_URL"] == refused(PSS_SMTP_URL="smtp://mail:secret@mail.example:587")


@pytest.mark.parametrize(
    "key", ["", "A" * 43 + "=", "//////////////////////////////////////////8=", "c2hvcnQ="]
)
def test_master_keys(key: str) -> None:
    """None, all zeros, all ones, and what is no key at all."""
    (variable,) = refused(PSS_MASTER_KEY=key)
    assert variable.startswith("PSS_MASTER_KEY")


def test_key_files(tmp_path: Path) -> None:
    """An empty or missing file is no key; one that everybody can read is no secret."""
    file = tmp_path / "master.key"
    given = {"PSS_MASTER_KEY": "", "PSS_MASTER_KEY_FILE": str(file)}
    assert ["PSS_MASTER_KEY_FILE"] == refused(**given)
    make_key_file(file)
    assert [] == refused(**given)
    file.chmod(0o644)
    assert ["PSS_MASTER_KEY_FILE"] == refused(**given)


def test_vault_without_a_token(tmp_path: Path) -> None:
    """Vault without a token, with an empty file, with the token of its own examples."""
    vault = {"PSS_MASTER_KEY": "", "PSS_VAULT_ADDR": "https://vault.example"}
    empty = tmp_path / "token"
    empty.touch(mode=0o600)
    assert ["PSS_VAULT_ADDR"] == refused(**vault)
    assert ["PSS_VAULT_TOKEN_FILE"] == refused(**vault, PSS_VAULT_TOKEN_FILE=str(empty))
    assert ["PSS_VAULT_TOKEN"] == refused(**vault, PSS_VAULT_TOKEN="root")
    assert [] == refused(**vault, PSS_VAULT_TOKEN="hvs.CAESIJ4w")


@pytest.mark.parametrize("changes", [{"PSS_DEMO": "1"}, {"PSS_DATABASE_URL": ""}])
def test_for_trying_out(changes: dict[str, str]) -> None:
    """A demonstration and the embedded database start with anything."""
    environment = GOOD | {"PSS_MASTER_KEY": "", "PSS_AMQP_URL": "amqp://mq.example/"} | changes
    refuse_insecure(
        Config.from_environment({name: value for name, value in environment.items() if value})
    )


def test_from_files(tmp_path: Path) -> None:
    """Each URL may stand in a file; file and variable together, and no file, are mistakes."""
    file = tmp_path / "url"
    file.write_text(f"{GOOD['PSS_DATABASE_URL']}\n")
    given = {"PSS_DATABASE_URL_FILE": str(file), "PSS_CELL_EAST_DATABASE_URL_FILE": str(file)}
    config = Config.from_environment(given | {"PSS_CELLS": "east"})
    assert GOOD["PSS_DATABASE_URL"] == config.database_url == config.cells[0].database_url
    assert f"file {file}" == sources(given)["PSS_DATABASE_URL"]
    for wrong in (given | GOOD, {"PSS_AMQP_URL_FILE": str(tmp_path / "none")}):
        with pytest.raises(Invalid, match="_FILE is wrong") as problem:
            resolved(wrong)
        assert "aQ7Rf2dW" not in problem.value.sentence


@pytest.mark.parametrize("reference", ["vault:x", "vault:kv/pss#x"])
def test_references_that_lead_nowhere(reference: str) -> None:
    """A reference is complete, and Vault's address is known."""
    with pytest.raises(Invalid, match="PSS_AMQP_URL is wrong"):
        resolved({"PSS_AMQP_URL": reference})


def test_sources_are_told_and_secrets_are_not() -> None:
    """Of each secret its source; nothing of what it is."""
    told = sources(GOOD | {"PSS_SMTP_URL": "vault:kv/pss#smtp"})
    assert ("the environment", "Vault, kv/pss#smtp") == (
        *(told["PSS_MASTER_KEY"], told["PSS_SMTP_URL"]),
    )
    assert not {value for value in GOOD.values() if value in repr(told)}


@pytest.mark.parametrize("command", [["serve", "--port", "1"], ["worker"], ["doctor"]])
def test_commands_show_no_secret(command: list[str], tmp_path: Path) -> None:
    """Refused in words, with what to mend, and nothing of any secret in the output."""
    secrets = {
        "PSS_DATABASE_URL": "postgresql://owner:s3cret-a@127.0.0.1:1/pss",
        "PSS_APP_DATABASE_URL": "postgresql://pss_app:s3cret-b@127.0.0.1:1/pss",
        "PSS_AMQP_URL": "amqp://pss:s3cret-c@127.0.0.1:1/",
        "PSS_REDIS_URL": "redis://:s3cret-d@127.0.0.1:1/0",
        "PSS_MASTER_KEY": "s3cret-e" * 5,
        "PSS_VAULT_TOKEN": "s3cret-f",
        "PSS_VAULT_ADDR": "http://127.0.0.1:1",
        "PSS_SMTP_URL": "smtp://mail:s3cret-g@127.0.0.1:1",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PSS_")}
    done = subprocess.run(
        [sys.executable, "-m", "pss_kernel.cli", *command, "--data-dir", str(tmp_path)],
        env=clean | secrets,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode in {1, 2}, said
    assert "PSS_MASTER_KEY" in said
    assert "s3cret" not in said
    assert "Traceback" not in said


@pytest.mark.xdist_group("vault")
def test_from_vault(vault_server: Vault) -> None:
    """A field of the key-value store of a real server; a path without it is told in words."""
    client = vault_server.client()
    client.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    client.secrets.kv.v2.create_or_update_secret(
        path="pss", secret={"amqp_url": GOOD["PSS_AMQP_URL"]}, mount_point="kv"
    )
    policy = 'path "kv/data/pss" { capabilities = ["read"] }'
    client.sys.create_or_update_policy(name="read-kv", policy=policy)
    made = client.auth.token.create(policies=["read-kv"], no_default_policy=True)
    token = str(made["auth"]["client_token"])
    environment = {"PSS_VAULT_ADDR": vault_server.address, "PSS_VAULT_TOKEN": token}
    found = resolved(environment | {"PSS_AMQP_URL": "vault:kv/pss#amqp_url"})
    assert GOOD["PSS_AMQP_URL"] == found["PSS_AMQP_URL"]
    for reference in ("vault:kv/pss#none", "vault:kv/none#amqp_url"):
        with pytest.raises(Invalid, match="PSS_AMQP_URL is wrong") as problem:
            resolved(environment | {"PSS_AMQP_URL": reference})
        assert token not in problem.value.sentence
    with pytest.raises(Invalid, match="does not give"):
        resolved(environment | {"PSS_VAULT_TOKEN": "no", "PSS_AMQP_URL": "vault:kv/pss#other"})
