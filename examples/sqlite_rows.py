"""
The rows of a table as lines of JSON, sent while a thread reads them from SQLite.

In this folder, run ``twistd -n twistream --app sqlite_rows:root``, then

- read all rows with ``curl http://127.0.0.1:8080/``,
- read those of one place with ``curl http://127.0.0.1:8080/cellar``.
"""

import json
import sqlite3
from contextlib import closing

from twistream import HTTPError, StreamResource

PLACES = ("roof", "cellar", "attic")
DATABASE = "file:readings?mode=memory&cache=shared"

# This database is in memory, and exists for as long as there is a connection to it.
keeper = sqlite3.connect(DATABASE, uri=True)
with keeper:
    keeper.execute("create table reading (id integer primary key, place text, celsius real)")
    keeper.executemany(
        "insert into reading (place, celsius) values (?, ?)",
        ((PLACES[n % 3], 10 + n % 20) for n in range(100_000)),
    )


def readings(ctx):
    place = ctx.path.strip("/")
    if place not in ("", *PLACES):
        raise HTTPError(404, "There is no such place.")
    ctx.content_type("application/jsonl")
    with closing(sqlite3.connect(DATABASE, uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        query = "select * from reading where ? in ('', place) order by id"
        for row in connection.execute(query, (place,)):
            yield json.dumps(dict(row)) + "\n"


root = StreamResource(readings, in_thread=True)
