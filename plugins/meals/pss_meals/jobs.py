"""Once a day the caterer is told what to load."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from pss_kernel import UnitOfWork

from . import plugin
from .store import catering_lists


@plugin.job(cron="0 2 * * *")
async def send_catering_lists(uow: UnitOfWork) -> None:
    """Emit the list of each flight of the next day, at 02:00 in the airline's time zone.

    Whoever delivers to the caterer, such as a webhook, listens to the event.
    """
    today = (await uow.now()).astimezone(ZoneInfo(uow.tenant.time_zone)).date()
    for listed in await catering_lists(uow, today + timedelta(days=1)):
        uow.emit(listed, stream=listed.flight_id)
