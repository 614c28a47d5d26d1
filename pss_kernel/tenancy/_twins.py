"""The names of twins, and who may have one. What they are for: ``_test_mode``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.errors import Conflict, Invalid
from pss_kernel.tenancy._platform import refuse_platform

if TYPE_CHECKING:
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["check_test_of", "is_twin_code", "live_code", "refuse_no_twin", "twin_code", "twin_name"]

_SUFFIX = "_test"
_MARK = " (test)"
_LONGEST_NAME = 200
_LONGEST_CODE = 41


def twin_code(code: str) -> str:
    """The code of a tenant's twin."""
    return f"{code}{_SUFFIX}"


def live_code(code: str) -> str:
    """The code of the tenant that a twin belongs to."""
    return code.removesuffix(_SUFFIX)


def is_twin_code(code: str) -> bool:
    """Whether only a twin may have that code."""
    return code.endswith(_SUFFIX)


def twin_name(name: str) -> str:
    """The name of a tenant's twin, which says what it is."""
    return f"{name[: _LONGEST_NAME - len(_MARK)]}{_MARK}"


def check_test_of(code: str, test_of: str | None, domains: list[str]) -> None:
    """Raises Invalid for a tenant that has a twin's code, or a twin that isn't made like one."""
    if test_of is None:
        if is_twin_code(code):
            raise Invalid(
                f"Codes that end in {_SUFFIX!r} are kept for test data.",
                code="reserved-code",
                mend="Choose another code; see 'pss tenant test-mode enable'.",
            )
        return
    if code != twin_code(test_of) or is_twin_code(test_of):
        raise Invalid(
            f"The test data of {test_of!r} has the code {twin_code(test_of)!r}.",
            code="reserved-code",
        )
    if domains:
        raise Invalid("Test data has no host names of its own.", code="test-mode-domains")


def refuse_no_twin(tenant: Tenant) -> None:
    """Raises Invalid where a tenant can't have test data: it is some, or its code is too long."""
    refuse_platform(tenant.code)
    if tenant.test_of is not None:
        raise Invalid(
            f"{tenant.code!r} is test data itself: that of {tenant.test_of!r}.", code="test-data"
        )
    if len(twin_code(tenant.code)) > _LONGEST_CODE:
        raise Conflict(
            f"The code {tenant.code!r} is too long for {_SUFFIX!r} to be added.",
            code="code-too-long",
        )
