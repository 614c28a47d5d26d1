"""Barcodes written elsewhere, read as their sources say."""

from datetime import date
from pathlib import Path

import pytest

from pss_dcs import bcbp
from pss_kernel import Invalid

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "bcbp"
# The sources' expectations were computed as of this day.
REFERENCE = date(2018, 4, 2)

needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason=f"the barcodes written elsewhere are not at {VECTORS}"
)


def text_of(number: str) -> str:
    return (VECTORS / f"{number}.txt").read_text(encoding="utf-8").removesuffix("\n")


def lines_of(path: Path) -> list[tuple[str, str]]:
    """Return the `key: value` lines of an expected reading, in order, without the headings."""
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        key, colon, value = (
            line.strip(" ").partition(":")
            if line.endswith(":")
            else (line.lstrip(" ").partition(": "))
        )
        if colon:
            pairs.append((key, value))
    return pairs


def reading_of(read: bcbp.Bcbp) -> list[tuple[str, str]]:
    unique = read.unique or bcbp.Unique()
    tags = [*unique.bag_tags, "", "", ""]
    pairs: list[tuple[str, object]] = [
        ("formatCode", "M"),
        ("numberOfLegs", len(read.legs)),
        ("passengerName", read.passenger_name),
        ("electronicTicketIndicator", read.electronic_ticket),
        ("version", read.version or 0),
        ("fieldSize", unique.size),
        ("passengerDescription", unique.passenger_description),
        ("sourceOfCheckin", unique.check_in_source),
        ("sourceOfBoardingPassIssuance", unique.issuance_source),
        ("yearOfIssue", unique.issue_year or 0),
        ("dayOfIssue", unique.issue_day or 0),
        ("documentType", unique.document_type),
        ("airlineDesignatorOfBoardingPassIssuer", unique.issuer),
        ("baggageTagLicensePlateNumber1", tags[0]),
        ("baggageTagLicensePlateNumber2", tags[1]),
        ("baggageTagLicensePlateNumber3", tags[2]),
        ("Date of issue", unique.issued_on or ""),
    ]
    for leg in read.legs:
        pairs += reading_of_leg(leg)
    if read.security is not None:
        pairs += [
            ("Security", ""),
            ("type", read.security.type),
            ("size", read.security.size),
            ("securityData", read.security.data),
        ]
    return [(key, str(value)) for key, value in pairs]


def reading_of_leg(leg: bcbp.Leg) -> list[tuple[str, object]]:
    repeated = leg.repeated or bcbp.Repeated()
    return [
        ("operatingCarrierPNRCode", leg.booking_reference),
        ("fromCityAirportCode", leg.origin),
        ("toCityAirportCode", leg.destination),
        ("operatingCarrierDesignator", leg.carrier),
        ("flightNumber", leg.flight_number),
        ("dayOfFlight", leg.day_of_year or 0),
        ("compartmentCode", leg.compartment),
        ("seatNumber", leg.seat),
        ("checkinSequenceNumber", leg.sequence),
        ("passengerStatus", leg.status),
        ("variableFieldSize", leg.size),
        ("conditionalFieldSize", repeated.size),
        ("airlineNumericCode", repeated.airline_numeric_code),
        ("documentNumber", repeated.document_number),
        ("selecteeIndicator", repeated.selectee),
        ("internationalDocumentVerification", repeated.document_verification),
        ("marketingCarrierDesignator", repeated.marketing_carrier),
        ("frequentFlyerAirlineDesignator", repeated.frequent_flyer_airline),
        ("frequenFlyerNumber", repeated.frequent_flyer_number),
        ("idAdIndicator", repeated.id_ad),
        ("freeBaggageAllowance", repeated.baggage_allowance),
        ("fastTrack", repeated.fast_track),
        ("Airline use section", leg.airline_use),
        ("Date of flight", leg.flight_date or ""),
    ]


@needs_vectors
@pytest.mark.parametrize("number", [f"{n:02d}" for n in range(1, 14)])
def test_reads_as_its_source_does(number: str) -> None:
    """Every field of a barcode reads as the project it comes from reads it."""
    expected = lines_of(VECTORS / f"{number}.expected.txt")
    assert expected == reading_of(bcbp.read(text_of(number), reference=REFERENCE))


@needs_vectors
@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("14", "bcbp-truncated"),
        ("15", "bcbp-truncated"),
        ("16", "bcbp-truncated"),
        ("17", "bcbp-size"),
        # Cut out of two-leg passes: the second leg they declare is not there.
        ("47", "bcbp-truncated"),
        ("48", "bcbp-truncated"),
    ],
)
def test_refuses_what_is_no_pass(number: str, code: str) -> None:
    """Too short, a leg missing, or no boarding pass at all: refused with a typed error."""
    with pytest.raises(Invalid) as refusal:
        bcbp.read(text_of(number))
    assert code == refusal.value.code


@needs_vectors
def test_every_barcode_of_the_folder_is_tested() -> None:
    """A file that is neither expected nor refused is in the list of the lenient readings."""
    known = {f"{n:02d}" for n in range(1, 18)} | {"47", "48"} | set(LENIENT)
    present = {path.name.removesuffix(".txt") for path in VECTORS.glob("??.txt")}
    assert set() == present - known


LENIENT = {
    # number: (legs, version, flight numbers, warnings)
    "19": (2, 6, ["0834", "3664"], 0),
    "39": (1, 6, ["0834"], 0),
    "40": (1, 6, [""], 1),
    "41": (2, 6, ["", "0834"], 1),
    "42": (1, 6, [""], 1),
    "43": (1, 6, ["0834"], 0),
    "44": (1, 6, [""], 2),
    "45": (1, 6, ["0834"], 0),
    "46": (1, 6, ["0834"], 0),
    "49": (1, None, ["61"], 0),
    "50": (1, None, ["0834"], 0),
    "51": (1, None, ["0551"], 1),
}


@needs_vectors
@pytest.mark.parametrize("number", sorted(LENIENT))
def test_reads_partly_blank_passes(number: str) -> None:
    """Blank and missing items are read as blank, with a warning where identity is missing."""
    read = bcbp.read(text_of(number), reference=REFERENCE)
    found = (
        len(read.legs),
        read.version,
        [leg.flight_number for leg in read.legs],
        len(read.warnings),
    )
    assert LENIENT[number] == found


@needs_vectors
@pytest.mark.parametrize("number", ["19", "40", "46"])
def test_keeps_security_data_whole(number: str) -> None:
    """The signature is read as long as it says it is."""
    security = bcbp.read(text_of(number)).security
    assert security is not None
    assert (security.size, "1") == (len(security.data), security.type)


@needs_vectors
@pytest.mark.parametrize("number", ["01", "49", "50"])
def test_writes_what_others_wrote(number: str) -> None:
    """A pass of mandatory items is written back character by character, numbers filled."""
    read = bcbp.read(text_of(number))
    expected = text_of(number).replace("61   ", "0061 ").replace("0001 ", "0001 ")
    assert expected == bcbp.write(read)


@needs_vectors
@pytest.mark.parametrize("number", ["02", "03", "04", "05"])
def test_writes_conditional_items_as_others_did(number: str) -> None:
    """Conditional items are written where the samples have them, but for the version."""
    written = bcbp.write(bcbp.read(text_of(number)))
    assert text_of(number).replace(">5", ">6", 1) == written
