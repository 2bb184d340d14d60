import pytest

from plimsoll.core.errors import UserError, run_command


def test_run_command__user_error__prints_one_line_and_gives_2(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise UserError("prices.csv: row 3\n is empty; remove it")

    assert run_command(command) == 2
    assert capsys.readouterr().err == "error: prices.csv: row 3 is empty; remove it\n"


def test_run_command__success__gives_the_commands_code() -> None:
    assert run_command(lambda: None) == 0
    assert run_command(lambda: 5) == 5


def test_run_command__bug__keeps_its_traceback() -> None:
    def command() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_command(command)


def test_run_command__interrupt__gives_130() -> None:
    def command() -> None:
        raise KeyboardInterrupt

    assert run_command(command) == 130
