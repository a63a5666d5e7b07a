from itertools import product
from typing import get_args

import pytest

from models.policy import Qualification
from operations.work_list import ASIDE, PASSED, PENDING, view, views

STANDINGS = [
    (qualification, pending)
    for qualification, pending in product(get_args(Qualification), (False, True))
    # An EQL passed every gate and a disqualified lead failed one, so neither can be pending.
    if not (pending and qualification in ("EQL", "DISQUALIFIED"))
]
ROLES = ("sales", "partner_manager", "partner", "viewer", "scientist", "crm", "admin")


@pytest.mark.parametrize(("qualification", "pending"), STANDINGS)
def test_every_lead_is_in_exactly_one_part(qualification: str, pending: bool) -> None:
    assert sum(part.shows(qualification, pending) for part in (PASSED, PENDING, ASIDE)) == 1


def test_sales_sees_what_passed_in_the_order_to_work_it_and_nothing_pending() -> None:
    assert views("sales")[0].qualifications == ("EQL", "SQL", "MQL")
    shown = {standing for standing in STANDINGS for each in views("sales") if each.shows(*standing)}
    assert shown == {("EQL", False), ("SQL", False), ("MQL", False)}


def test_a_partner_manager_starts_from_what_is_pending_and_can_find_every_lead() -> None:
    assert views("partner_manager")[0] == PENDING
    assert all(any(each.shows(*standing) for each in views("partner_manager")) for standing in STANDINGS)


def test_a_partner_starts_from_all_its_leads() -> None:
    assert all(views("partner")[0].shows(*standing) for standing in STANDINGS)


@pytest.mark.parametrize("role", ROLES)
def test_a_view_is_found_by_its_name_among_those_of_the_role(role: str) -> None:
    assert view(role, None) == views(role)[0]
    assert [view(role, each.name) for each in views(role)] == [*views(role)]
    assert view(role, "no such view") is None


def test_sales_has_no_view_of_pending_leads_by_any_name() -> None:
    assert view("sales", PENDING.name) is None


@pytest.mark.parametrize("role", ROLES)
def test_every_view_says_its_order_and_who_acts(role: str) -> None:
    assert all(each.order and each.acts for each in views(role))
    assert all(("likeliest" in each.order) is (role != "partner") for each in views(role))
    assert PENDING.order == (
        "SQLs come first, then MQLs and unqualified leads; of each, the likeliest to close comes first."
    )
