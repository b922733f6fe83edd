import logging

from napari_dilatedloc.cli.app import Once


def test_a_message_is_said_once(caplog):
    log = logging.getLogger("tables")
    caplog.handler.addFilter(once := Once())
    try:
        for name in ("a.csv", "b.csv", "a.csv"):
            log.warning("%s: column %s holds text", name, "notes")
    finally:
        caplog.handler.removeFilter(once)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["a.csv: column notes holds text", "b.csv: column notes holds text"]
