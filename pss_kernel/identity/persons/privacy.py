"""What is kept about people who have an account, and what becomes of it on their demand."""

from pss_kernel.personal._declared import PersonalTable

__all__ = ["PERSONAL"]

_TRAIL = "The audit trail names accounts by their id; it says who did what."

PERSONAL = [
    PersonalTable(
        "account",
        person="account_id",
        purpose="to sign in and to say who may do what",
        columns={
            "email": "e-mail address",
            "email_key": "e-mail address, for comparing",
            "new_email": "e-mail address to be",
            "new_email_key": "e-mail address to be, for comparing",
            "name": "name",
            "attributes": "station and the like",
            "roles": "roles",
            "created_at": "when it was made",
        },
        erased={
            "email": "''",
            "email_key": "'erased ' || account_id",
            "new_email": "NULL",
            "new_email_key": "NULL",
            "name": "'-'",
            "attributes": "'{}'",
            "password_hash": "NULL",
            "state": "'disabled'",
            "roles": "'{}'",
        },
        kept={"created_at": _TRAIL},
    ),
    PersonalTable(
        "session",
        person="account_id",
        purpose="to know a browser again, and to show where one is signed in",
        columns={"address": "address", "user_agent": "browser", "created_at": "when"},
        rows_go=True,
    ),
    PersonalTable(
        "factor",
        person="account_id",
        purpose="to prove who one is",
        columns={"kind": "kind", "name": "name of the device"},
        rows_go=True,
    ),
    PersonalTable(
        "recovery_code",
        person="account_id",
        purpose="to prove who one is",
        columns={"created_at": "when it was made"},
        rows_go=True,
    ),
    PersonalTable(
        "factor_lock",
        person="account_id",
        purpose="to let guessing get slower",
        columns={
            "failures": "wrong codes in a row",
            "locked_until": "until when none is looked at",
        },
        rows_go=True,
    ),
    PersonalTable(
        "sign_on_link",
        person="account_id",
        purpose="to sign in with an account at another provider",
        columns={"issuer": "provider", "subject": "id there"},
        rows_go=True,
    ),
    PersonalTable(
        "account_link",
        person="account_id",
        purpose="to let in who has the mail",
        columns={"purpose": "what for", "email_key": "e-mail address"},
        rows_go=True,
    ),
    PersonalTable(
        "sign_in_step",
        person="account_id",
        purpose="to go on with a sign-in",
        columns={"purpose": "what for", "data": "what is known so far"},
        rows_go=True,
    ),
]
