"""
Results that nobody measured, for tests of what is made of results.
"""

from benchmarks.results import Results
from benchmarks.scenarios import PUBLISHED, SCENARIOS, Settings, loads
from benchmarks.servers import SERVERS

# Of those with a channel: deliveries/s of it, ms of a replay.
_CHANNELS = {
    "twistream": (390_000, 2.5),
    "twistream_broadcast": (420_000, 0),
    "aiohttp": (31_000, 4.1),
    "sse_starlette": (24_000, 6.0),
}

# Of twistream and of each other server: requests/s, messages/s, deliveries/s one at a time
# and with eight in flight, p99 in ms, KB of a stream.
_OF_EACH = {
    "twistream": (8_000, 1_500_000, 120_000, 420_000, 9.0, 8.1),
    "twistream_broadcast": (0, 0, 0, 0, 0, 0),
    "twisted": (5_000, 290_000, 34_000, 90_000, 21.0, 6.3),
    "aiohttp": (3_400, 101_000, 31_000, 32_000, 31.0, 16.0),
    "starlette": (1_700, 90_000, 22_000, 31_000, 29.0, 17.0),
    "sse_starlette": (1_200, 60_000, 18_000, 24_000, 44.0, 22.0),
    "tornado": (1_500, 43_000, 17_000, 19_000, 52.0, 14.0),
    "granian": (2_200, 37_000, 25_000, 34_000, 33.0, 19.0),
    # In the way of a target wherever it is counted, which it must not be.
    "granian_loop": (0, 0, 100_000, 400_000, 12.0, 0),
    "starlette_granian": (1_900, 20_000, 0, 0, 0, 0),
    "go": (7_600, 114_000, 70_000, 78_000, 10.0, 29.0),
    "bare_send": (0, 0, 150_000, 166_000, 6.0, 0),
}


def made_up(rounds: int = 3) -> Results:
    """
    Results in which twistream reaches its targets, with one percent of noise.
    """
    results = Results()
    results.machine = {"Processor": "an *abacus* of `two` rows_", "Date": "2026-01-01"}
    results.settings = Settings(rounds=rounds).as_json()
    results.finished = True
    for name in _OF_EACH:
        title = SERVERS[name].title
        results.servers[name] = {"title": title, "versions": {"Python": "3.11"}}
    for number in range(1, rounds + 1):
        for server, values in _OF_EACH.items():
            put_round(results, number, server, values)
    return results


def put_round(
    results: Results,
    number: int,
    server: str,
    values: tuple[float, float, float, float, float, float],
) -> None:
    """
    Add one round of one server.
    """
    noise = 1 + 0.01 * (number - 2)
    shares = {"client_cpu": 0.5, "server_cpu": 0.98}
    twelve, many, one, eight, p99, memory = values
    times = {"p50_ms": p99 / 2, "p99_ms": p99 * noise}
    more = {
        f"{what}_{share}_ms": 3.0 for what in ("whole", "first_byte") for share in ("p50", "p99")
    }
    ticks = {"cpu_percent": 3.0, "cpu_us_per_message": 30.0, "messages_per_s": 1000.0}
    turns = {"cpu_us_per_message": (20.0 if server == "twistream" else 24.0) * noise}
    figures = {
        "twelve": {"requests_per_s": twelve * noise} | more | shares,
        "many": {"messages_per_s": many * noise} | shares,
        "memory": {"kb_per_stream": memory * noise},
        "ticks": ticks | shares,
        "turns": turns | {"messages_per_s": 40_000.0} | shares,
    }
    for size, part in ((100, 1.05), (1_000, 1.0), (10_000, 0.9)):
        for mode, rate in (("one", one), ("eight", eight)):
            fanout = {"deliveries_per_s": rate * part * noise}
            figures[f"fanout-{size}-{mode}"] = fanout | times | shares
        figures[f"fanout-{size}-paced"] = times | {"behind_s": 0.0} | shares
    channel, replay = _CHANNELS.get(server, (0, 0.0))
    figures["fanout-1000-channel"] = {"deliveries_per_s": channel * noise} | times | shares
    figures["replay"] = (
        {"cpu_ms_per_replay": replay * noise, "replays_per_s": 100.0} | times | shares
    )
    for kind in PUBLISHED:
        publish = {"cpu_us_per_publish": 8.0 * noise, "publishes_per_s": 125_000.0}
        figures[f"publish-{kind}"] = publish | shares
    for load in loads(Settings(), SCENARIOS):
        for name in load.figures_of(SERVERS[server]):
            results.put(number, name, server, figures[name])
