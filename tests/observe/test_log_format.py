import json
import logging
import sys

from gateway.observe.log_format import JsonFormatter, log_to_stderr


def record(**more) -> logging.LogRecord:
    made = logging.LogRecord("gateway.x", logging.WARNING, "x.py", 1, "lost %d of\n%s", (2, "crm"), None)
    made.created, made.msecs = 1_700_000_000.25, 250.0
    vars(made).update(more)
    return made


def test_a_record_is_one_line_of_json():
    line = JsonFormatter().format(record(upstream="crm", attempts=2, error=ValueError("no")))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "gateway.x",
        "message": "lost 2 of\ncrm",
        "upstream": "crm",
        "attempts": 2,
        "error": "no",
    }


def test_an_exception_is_on_the_same_line():
    try:
        raise ValueError("of no use")
    except ValueError:
        made = record(exc_info=sys.exc_info())
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: of no use")


def test_records_go_to_standard_error(capsys):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        root.handlers = []
        log_to_stderr()
        logging.getLogger("gateway").info("hello")
        assert json.loads(capsys.readouterr().err)["message"] == "hello"
    finally:
        root.handlers, root.level = before
