"""The rows about history, for run.py: what recording costs a write, how small years of readings are
on disk, and how fast they are told and summed up, beside DuckDB over the same data as Parquet."""

import json
import os
import subprocess
import time
from pathlib import Path

JSON = {"Content-Type": "application/json"}
YEAR = 35_040  # readings, one each quarter of an hour
STATION = "/ngsi-ld/v1/entities/urn:ngsi-ld:Station:%d"
TEMPORAL = "/ngsi-ld/v1/temporal/entities"


def measure(bench, run):
    """All rows. `run` is run.py."""
    recording(bench, run)
    backfill(bench, run)
    year(bench, run)


def recording(bench, run):
    """A PATCH that is recorded, to the same where nothing is."""
    run.say("history: 100 vehicles, 50 connections")
    vehicles = [run.vehicle(n) for n in range(run.VEHICLES)]
    on = bench.broker(19110, bench.folder / "history-on")
    off = bench.broker(19111, bench.folder / "history-off")
    status, _, body = run.call(off.port, "PUT", "/admin/history/rules/*",
                               json.dumps({"record": "none"}), JSON)
    assert status in (200, 201, 204), (status, body)
    for broker in (on, off):
        run.load(broker.port, vehicles)
    shape = ["observe", run.VEHICLES, "/ngsi-ld/v1/entities/urn:ngsi-ld:Vehicle:%d/attrs/speed"]
    got = bench.rounds([("off", off, shape), ("on", on, shape)])
    bench.ratio_row("PATCH with history on, to PATCH with history off", got["on"], got["off"], 0.80)
    status, _, body = run.call(
        on.port, "GET", TEMPORAL + "/urn:ngsi-ld:Vehicle:1?attrs=speed&format=aggregatedValues"
        "&aggrMethods=totalCount&aggrPeriodDuration=PT0S")
    counted = json.loads(body)["speed"]["totalCount"][0][0] if status == 200 else 0
    status, _, _ = run.call(off.port, "GET", TEMPORAL + "/urn:ngsi-ld:Vehicle:1")
    bench.row("instances of one vehicle recorded with it on", f"{counted:,}", "> 10", counted > 10,
              "with it off there is " + ("no history" if status == 404 else "SOME HISTORY"))
    on.stop()
    off.stop()


def disk(folder):
    """Bytes that files take: those that are set aside and were never written take none."""
    return sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())


def settle(broker, limit=900):
    """Waits until the broker has nothing to do any more: until its packing is through."""
    end, before = time.monotonic() + limit, broker.cpu()
    while time.monotonic() < end:
        time.sleep(1)
        now = broker.cpu()
        if now - before < 0.02:
            return
        before = now


def readings(bench, run, what, port, stations, count, *words):
    command = ["taskset", "-c", run.CLIENT_CPU, bench.options.readings, what, "--stations", stations,
               "--count", count, "--to", f"127.0.0.1:{port}", *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"sending readings failed: {done.stderr}")
    return json.loads(done.stderr.strip().splitlines()[-1])


def backfill(bench, run):
    """Years of readings of many stations: how fast they come in, and what they take."""
    stations = bench.options.stations
    count = max(bench.options.readings_in_all // stations, 200)
    total = stations * count
    run.say(f"history: {total:,} readings of {stations:,} stations")
    data = bench.folder / "backfill"
    broker = bench.broker(19112, data)
    readings(bench, run, "found", broker.port, stations, count)
    before = broker.cpu()
    # Two minutes apart, so that fifty thousand of a station are a few months.
    sent = readings(bench, run, "send", broker.port, stations, count, "--every", 120,
                    "--batch", 1_000, "--connections", 3)
    taken = broker.cpu() - before
    settle(broker)
    packed = broker.cpu() - before
    resident, most = broker.memory()
    rate = total / packed
    bench.row("backfill by batch of 1,000, instances per second of one core", f"{rate:,.0f}/s",
              "≥ 200,000/s", rate >= 200_000,
              f"packing included; {total / taken:,.0f}/s until the last was taken, "
              f"{total / sent['seconds']:,.0f}/s by the clock")
    status, headers, body = run.call(
        broker.port, "GET", f"{TEMPORAL}/urn:ngsi-ld:Station:{stations - 1}?attrs=pm25"
        "&format=aggregatedValues&aggrMethods=totalCount&aggrPeriodDuration=PT0S")
    held = json.loads(body)["pm25"]["totalCount"][0][0] if status == 200 else status
    bench.row("of these, held by the last station", f"{held:,}", f"{count + 1:,}", held == count + 1, "")
    last_n(bench, run, broker, stations)
    resident_then, most = broker.memory()
    broker.stop()
    size = disk(data)
    bench.row(f"{total:,} instances of {stations:,} series, on disk", f"{size / total:.1f} bytes each",
              "≤ 20 bytes", size <= 20 * total, f"{size / 1e6:,.0f} MB after an orderly end")
    bench.row("memory with them", f"{most / 1e6:,.0f} MB at most", "bounded", None,
              f"{resident / 1e6:,.0f} MB after packing, {resident_then / 1e6:,.0f} MB after queries")
    again = bench.broker(19112, data)
    bench.row("start with them", f"{again.started_in:.1f} s", "≤ 5 s", again.started_in <= 5,
              f"{again.memory()[0] / 1e6:,.0f} MB")
    again.stop()


def last_n(bench, run, broker, stations):
    """The latest hundred instances of an attribute, to a GET of its entity."""
    latest = f"{TEMPORAL}/urn:ngsi-ld:Station:%d?attrs=pm25&lastN=100"
    got = bench.rounds([
        ("get", broker, ["rotate", stations, STATION]),
        ("values", broker, ["rotate", stations, latest + "&format=temporalValues"]),
        ("normalized", broker, ["rotate", stations, latest]),
    ])
    for form in ("values", "normalized"):
        times = got[form]["cpu_us"] / got["get"]["cpu_us"]
        name = "as temporalValues" if form == "values" else "normalized"
        bench.row(f"lastN=100 of one attribute, {name}: CPU to a GET's", f"{times:.1f}×", "≤ 2×",
                  times <= 2 and not got[form].get("invalid"),
                  f"{got[form]['cpu_us']:.1f} µs of {got['get']['cpu_us']:.1f} µs, "
                  f"{got[form]['per_second']:,.0f}/s, p99 {got[form]['p99_ms']:.1f} ms")


def year(bench, run):
    """A year of quarter-hourly readings, summed up; beside DuckDB over the same as Parquet."""
    stations = bench.options.year_stations
    run.say(f"history: a year of {stations} stations, every quarter of an hour")
    broker = bench.broker(19113, bench.folder / "year")
    readings(bench, run, "found", broker.port, stations, 0)
    readings(bench, run, "send", broker.port, stations, YEAR)
    settle(broker)
    duck = Duck.over(bench, stations)
    window = "timerel=between&timeAt=2025-01-01T00:00:00Z&endTimeAt=2026-01-01T00:00:00Z"
    for name, period, unit in (("hourly", "PT1H", "hour"), ("daily", "P1D", "day")):
        path = (f"{TEMPORAL}/urn:ngsi-ld:Station:7?attrs=pm25&{window}&format=aggregatedValues"
                f"&aggrMethods=avg&aggrPeriodDuration={period}").replace("Station:7", "Station:%d")
        shape = ["rotate", min(stations, 8), path]
        got = bench.rounds([("ours", broker, shape, {"connections": 1})])["ours"]
        sql = (f"SELECT time_bucket(INTERVAL 1 {unit}, ts) AS b, avg(value) FROM readings "
               "WHERE station = {station} AND ts >= TIMESTAMP '2025-01-01' "
               "AND ts < TIMESTAMP '2026-01-01' GROUP BY b ORDER BY b")
        theirs = duck and duck.time(sql, stations)
        same = duck and duck.agrees(run, broker, path, sql, "avg")
        compare(bench, f"a year of one attribute, {name} mean", got, theirs, 2, same, 10_000)
    month = "timerel=between&timeAt=2025-06-01T00:00:00Z&endTimeAt=2025-07-01T00:00:00Z"
    count = min(stations, 100)
    path = (f"{TEMPORAL}?type=Station&attrs=pm25&{month}&format=aggregatedValues&limit={count}"
            "&aggrMethods=max&aggrPeriodDuration=P1D")
    got = bench.rounds([("ours", broker, ["get", path], {"connections": 1})])["ours"]
    sql = ("SELECT station, time_bucket(INTERVAL 1 day, ts) AS b, max(value) FROM readings WHERE "
           f"station < {count} AND ts >= TIMESTAMP '2025-06-01' AND ts < TIMESTAMP '2025-07-01' "
           "GROUP BY station, b ORDER BY station, b")
    theirs = duck and duck.time(sql, stations)
    same = duck and duck.agrees_on_all(run, broker, path, sql)
    compare(bench, f"{count} entities, a month, daily maximum", got, theirs, 3, same, None)
    broker.stop()


def compare(bench, name, ours, theirs, times, same, most_us):
    """Rows of one question: CPU, and against DuckDB."""
    if most_us:
        bench.row(f"{name}: CPU", f"{ours['cpu_us'] / 1e3:.2f} ms", f"≤ {most_us / 1e3:.0f} ms",
                  ours["cpu_us"] <= most_us and not ours.get("invalid"),
                  f"p50 {ours['p50_ms']:.2f} ms, {ours['bytes'] // max(ours['requests'], 1):,} bytes")
    if theirs is None:
        bench.row(f"{name}: CPU to DuckDB's", "not measured", f"≤ {times}×", None,
                  "pip install duckdb")
        return
    share = ours["cpu_us"] / theirs["cpu_us"]
    bench.row(f"{name}: CPU to DuckDB's", f"{share:.2f}×", f"≤ {times}×",
              share <= times and same and not ours.get("invalid"),
              f"{ours['cpu_us'] / 1e3:.2f} ms with HTTP and JSON, p50 {ours['p50_ms']:.2f} ms; theirs "
              f"{theirs['cpu_us'] / 1e3:.2f} ms into a table of its own, p50 {theirs['p50_ms']:.2f} ms; "
              f"answers {'agree' if same else 'DIFFER'}")


class Duck:
    """DuckDB in this process, on one thread and the client's processor."""

    @classmethod
    def over(cls, bench, stations):
        """The readings as Parquet; None where DuckDB is not installed."""
        try:
            import duckdb
        except ImportError:
            return None
        table, parquet = bench.folder / "readings.csv", bench.folder / "readings.parquet"
        command = [bench.options.readings, "print", "--stations", stations, "--count", YEAR]
        with open(table, "wb") as out:
            subprocess.run(list(map(str, command)), stdout=out, stderr=subprocess.DEVNULL, check=True)
        self = cls()
        self.database = duckdb.connect()
        self.database.execute("SET threads = 1; SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        self.database.execute(
            "COPY (SELECT station::INTEGER AS station, make_timestamp(time::BIGINT * 1000000) AS ts, "
            f"value::DOUBLE AS value FROM read_csv('{table}') ORDER BY station, ts) "
            f"TO '{parquet}' (FORMAT parquet)")
        os.remove(table)
        self.database.execute(f"CREATE VIEW readings AS SELECT * FROM read_parquet('{parquet}')")
        self.seconds, self.cpu = bench.options.seconds, int(bench.client_cpu)
        return self

    def time(self, sql, stations):
        """CPU and time of a question, asked again and again, its result put into a table."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.cpu})
        try:
            asked, times, cpu = 0, [], 0.0
            end = time.monotonic() + self.seconds
            while time.monotonic() < end or asked < 3:
                text = sql.format(station=asked % min(stations, 8))
                began, used = time.monotonic(), time.process_time()
                self.database.execute(f"CREATE OR REPLACE TEMP TABLE answer AS {text}")
                if asked > 0:
                    times.append(time.monotonic() - began)
                    cpu += time.process_time() - used
                asked += 1
            times.sort()
            return {"cpu_us": cpu / len(times) * 1e6, "p50_ms": times[len(times) // 2] * 1e3}
        finally:
            os.sched_setaffinity(0, before)

    def agrees(self, run, broker, path, sql, method):
        """Whether both give the same numbers for a station."""
        status, _, body = run.call(broker.port, "GET", path.replace("%d", "1"))
        theirs = self.database.execute(sql.format(station=1)).fetchall()
        ours = json.loads(body)["pm25"][method] if status == 200 else []
        return near([one[0] for one in ours], [row[-1] for row in theirs])

    def agrees_on_all(self, run, broker, path, sql):
        """Whether both give the same numbers for all stations."""
        status, _, body = run.call(broker.port, "GET", path)
        ours = {}
        for entity in json.loads(body) if status == 200 else []:
            ours[int(entity["id"].rsplit(":", 1)[1])] = [one[0] for one in entity["pm25"]["max"]]
        theirs = {}
        for station, _, value in self.database.execute(sql).fetchall():
            theirs.setdefault(station, []).append(value)
        return ours.keys() == theirs.keys() and all(near(ours[s], theirs[s]) for s in ours)


def near(ours, theirs):
    return len(ours) == len(theirs) > 0 and all(abs(a - b) < 1e-9 * max(1, abs(b))
                                                 for a, b in zip(ours, theirs))
