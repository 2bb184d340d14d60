from typing import Any

import pytest

from plimsoll.core.errors import UserError
from plimsoll.deploy import fields
from plimsoll.deploy.fields import Field, read_section

TOKEN = "0x700b6A60ce7EaaEA56F065753d8dcB9653dbAD35"
MISTYPED = TOKEN.replace("A60c", "a60c")
ZERO = fields.ZERO_ADDRESS


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        (fields.bps(0, 10_000), "4.25%", 425),
        (fields.bps(0, 10_000), "100 %", 10_000),
        (fields.percent_wad(0, 10**20), "8%", 8 * 10**16),
        (fields.percent_wad(0, 10**20), "0.000001%", 10**10),
        (fields.dollars(2, 0, 10_000), "$2", 200),
        (fields.dollars(2, 0, 10_000), "$2.05", 205),
        (fields.dollars(0, 0, 10_000), "$1_000", 1_000),
        (fields.dollars(18, 0, 10**19), "$0.50", 5 * 10**17),
        (fields.seconds(0, 10**6), "15 s", 15),
        (fields.seconds(0, 10**6), "5min", 300),
        (fields.seconds(0, 10**6), "2 h", 7_200),
        (fields.seconds(0, 10**6), "1 day", 86_400),
        (fields.seconds(0, 10**6), "3 days", 259_200),
        (fields.quantity(0, 10**30), "400_000.5", 400_000_500_000_000_000_000_000),
        (fields.count(0, 9), 3, 3),
        (fields.address(), TOKEN, TOKEN),
        (fields.address(), TOKEN.lower(), TOKEN),
        (fields.address_or_none(), "none", fields.ZERO_ADDRESS),
        (fields.addresses(), [TOKEN], (TOKEN,)),
        (fields.flag(False), True, True),
    ],
)
def test_read__value__in_units(field: Field, text: Any, value: Any) -> None:
    assert field.read(text, "x") == value


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        (fields.bps(1, 300), "4%", "x is 4%; allowed is 0.01% to 3%"),
        (fields.bps(1, 300), "0%", "x is 0%; allowed is 0.01% to 3%"),
        (fields.bps(1, 300), "1.005%", "x: '1.005%' is finer than 0.01%; round it"),
        (fields.bps(1, 300), 4, 'x: 4 is not a percentage; write it like "4.25%"'),
        (fields.bps(1, 300), "-1%", "x: '-1%' is not a percentage; write it like \"4.25%\""),
        (fields.dollars(0, 0, 9), "$1.50", "x: '$1.50' is finer than $1; round it"),
        (fields.dollars(2, 0, 100), "$1.005", "x: '$1.005' is finer than a cent; round it"),
        (
            fields.dollars(2, 0, 100),
            "2 dollars",
            "x: '2 dollars' is not an amount of dollars; write it like \"$1_000\"",
        ),
        (fields.dollars(2, 0, 10_000), "$101", "x is $101; allowed is $0 to $100"),
        (fields.seconds(60, 1_800), "1 h", "x is 1 h; allowed is 1 min to 30 min"),
        (
            fields.seconds(60, 1_800),
            "5 weeks",
            'x: \'5 weeks\' is not a time; write it like "15 s", "5 min", "2 h" or "3 days"',
        ),
        (fields.quantity(1, 9), "ETH", "x: 'ETH' is not a size; write it like \"400_000\""),
        (fields.count(2, 7), 1, "x is 1; allowed is 2 to 7"),
        (fields.count(2, 7), True, "x: True is not a whole number"),
        (fields.count(2, 7), "3", "x: '3' is not a whole number"),
        (fields.address(), "0x12", "x: '0x12' is not an address; write 0x and 40 hexadecimal digits"),
        (fields.address(), fields.ZERO_ADDRESS, f"x: '{ZERO}' is not an address; write 0x and 40 hexadecimal digits"),
        (fields.address(), MISTYPED, f"x: {MISTYPED} has a wrong checksum; a digit is mistyped"),
        (fields.address_or_none(), "", "x: '' is not an address; write 0x and 40 hexadecimal digits or \"none\""),
        (fields.addresses(), [], "x: must be a list of one address at least"),
        (fields.addresses(), [TOKEN, TOKEN.lower()], "x: names an address twice"),
        (fields.text(), " ", "x: ' ' is not a text"),
        (fields.choice("api3", "chainlink"), "pyth", "x: 'pyth' is none of api3, chainlink"),
        (fields.flag(False), "yes", "x: 'yes' is not true or false"),
    ],
)
def test_read__wrong__says_what_is_allowed(field: Field, text: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        field.read(text, "x")
    assert str(caught.value) == message


def test_read_section__suffix_and_default__are_there() -> None:
    table = {"fee": fields.bps(0, 100), "isolated": fields.flag(False)}
    assert read_section(table, {"fee": "0.02%"}, "file: fees") == {"fee_bps": 2, "isolated": False}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"fea": "1%"}, "file: fees: unknown key fea; did you mean fee?"),
        ({"fee": "1%", "colour": 1}, "file: fees: unknown key colour; remove it"),
        ({}, "file: fees: fee is missing"),
        ("1%", "file: fees: must be a table ([fees])"),
    ],
)
def test_read_section__wrong__one_line(data: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_section({"fee": fields.bps(0, 100)}, data, "file: fees")
    assert str(caught.value) == message
