"""Reading and writing meals."""

from datetime import date

from msgspec import Struct
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from pss_kernel import UnitOfWork
from pss_reservation.contracts import OrderSegment

from .contracts import CateringListed
from .models import meal

__all__ = ["Meal", "catering_lists", "drop_meals", "meals_of", "save_meal"]


class Meal(Struct, kw_only=True):
    """What a passenger will be served on a segment."""

    passenger_id: str
    segment_id: str
    code: str


async def save_meal(
    uow: UnitOfWork, order_id: str, passenger_id: str, segment: OrderSegment, code: str
) -> None:
    """Keep a passenger's choice; a later one replaces it."""
    statement = insert(meal).values(
        passenger_id=passenger_id,
        segment_id=segment.id,
        order_id=order_id,
        flight_id=segment.flight_id,
        flight=segment.flight,
        flight_date=segment.flight_date,
        code=code,
    )
    await uow.execute(
        statement.on_conflict_do_update(
            index_elements=["passenger_id", "segment_id"], set_={"code": statement.excluded.code}
        )
    )


async def meals_of(uow: UnitOfWork, order_id: str) -> list[Meal]:
    """List the meals of an order."""
    rows = await uow.fetch_all(
        select(meal.c.passenger_id, meal.c.segment_id, meal.c.code)
        .where(meal.c.order_id == order_id)
        .order_by(meal.c.segment_id, meal.c.passenger_id)
    )
    return [Meal(**row) for row in rows]


async def drop_meals(uow: UnitOfWork, order_id: str) -> None:
    """Forget the meals of an order."""
    await uow.execute(delete(meal).where(meal.c.order_id == order_id))


async def catering_lists(uow: UnitOfWork, flight_date: date) -> list[CateringListed]:
    """Count the dishes of each flight of a day, by the flights' local date."""
    flight = (meal.c.flight_id, meal.c.flight)
    counted = (
        select(*flight, meal.c.code, func.count().label("portions"))
        .where(meal.c.flight_date == flight_date)
        .group_by(*flight, meal.c.code)
        .subquery()
    )
    rows = await uow.fetch_all(
        select(
            counted.c.flight_id,
            counted.c.flight,
            func.jsonb_object_agg(counted.c.code, counted.c.portions, type_=JSONB).label("dishes"),
        )
        .group_by(counted.c.flight_id, counted.c.flight)
        .order_by(counted.c.flight_id)
    )
    return [CateringListed(flight_date=flight_date, **row) for row in rows]
