"""An integration that was written for the first version goes on working."""

from __future__ import annotations

from typing import Any

import pytest

from pss_kernel.api_versions import NEWEST, OLDEST
from pss_outside.traveller import credentials, fresh_key

pytestmark = [pytest.mark.xdist_group("journeys")]


async def test_services_in_both_versions(aurelis: Any) -> None:
    """A meal is ``code`` now, and ``detail`` as it was: when it is added, and on the order."""
    offer = await aurelis.guest.bookable(*aurelis.market)
    order = await aurelis.guest.ticketed(offer)
    known = credentials(order)
    wish = {
        "type": "meal",
        "code": "VGML",
        "passenger_id": order["passengers"][0]["id"],
        "segment_id": order["slices"][0]["segments"][0]["id"],
    }
    path, key = f"/v1/orders/{order['id']}", fresh_key()
    http = aurelis.guest.http
    seen = {}
    for version in (OLDEST, NEWEST):
        headers = {"PSS-Version": version}
        added = await http.post(f"{path}/services", json=wish, params=known, headers=headers | key)
        shown = await http.get(path, params=known, headers=headers)
        assert (201, version) == (added.status_code, added.headers["PSS-Version"]), added.text
        assert [added.json()] == shown.json()["services"]
        seen[version] = added.json()
    common = {"id", "type", "passenger_id", "segment_id", "price"}
    assert common | {"detail"} == seen[OLDEST].keys()
    assert common | {"seat", "code"} == seen[NEWEST].keys()
    assert {one: seen[OLDEST][one] for one in common} == {one: seen[NEWEST][one] for one in common}
    assert ("VGML", "VGML", None) == (
        seen[OLDEST]["detail"],
        seen[NEWEST]["code"],
        seen[NEWEST]["seat"],
    )
