"""What happens to accounts. Events name the account alone: who it is stands in the account."""

from pss_kernel.messaging._event import Event

__all__ = [
    "EVENTS",
    "EmailChangeRequested",
    "InvitationRequested",
    "PasswordChanged",
    "PasswordResetRequested",
    "RegistrationRepeated",
    "RegistrationRequested",
]


class InvitationRequested(Event, name="invitation-requested"):
    """Somebody shall be sent a link to accept an invitation with."""

    account_id: str


class PasswordResetRequested(Event, name="password-reset-requested"):
    """Somebody shall be sent a link to set a new password with."""

    account_id: str


class EmailChangeRequested(Event, name="email-change-requested"):
    """Somebody shall be sent a link to a new address, and word of it to the one before."""

    account_id: str


class RegistrationRequested(Event, name="registration-requested"):
    """Somebody outside the staff has asked for an account and shall be sent a link."""

    account_id: str


class RegistrationRepeated(Event, name="registration-repeated"):
    """Somebody who has an account has asked for one, and shall be told so."""

    account_id: str


class PasswordChanged(Event, name="password-changed"):
    """Somebody has a new password, and shall be told so."""

    account_id: str


EVENTS: list[type[Event]] = [
    InvitationRequested,
    PasswordResetRequested,
    EmailChangeRequested,
    RegistrationRequested,
    RegistrationRepeated,
    PasswordChanged,
]
