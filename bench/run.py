#!/usr/bin/env python3
"""Measures the broker against a ceiling, in one run, as ratios. How to read it: README.md.

    cargo build --release --examples && cargo build --release
    bench/run.py                       # everything, about ten minutes
    bench/run.py --quick               # shorter measurements, 100 000 entities
    bench/run.py --only small          # small | large | mongodb | notify | history | federation
    bench/run.py --mongodb URL         # the broker on a MongoDB of this machine, too

Needs wrk and taskset, Python 3.9 or newer, `pip install duckdb` for the comparison with it and
nothing else, and two processors that do nothing else meanwhile. Only loopback addresses are used.
"""

import argparse
import http.client
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import federation
import history
import notify

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SERVER_CPU, CLIENT_CPU = "0", "1"
VEHICLES = 100
TICKS = os.sysconf("SC_CLK_TCK")
DEFAULT_CONTEXT = "https://uri.etsi.org/ngsi-ld/default-context/"


def say(text=""):
    print(text, flush=True)


# ------------------------------------------------------------------ processes


class Process:
    """A server, pinned to the first processor unless told otherwise."""

    running = []

    def __init__(self, name, command, environment=None, log=None, pinned=True):
        self.name = name
        Process.running.append(self)
        self.log = open(log, "ab")
        self.child = subprocess.Popen(
            [*(["taskset", "-c", SERVER_CPU] if pinned else []), *map(str, command)],
            env={**os.environ, **(environment or {})},
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
        )

    def cpu(self):
        """Seconds of CPU used so far, all threads, user and system."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        """Resident bytes now and at most so far."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        number = lambda key: int(status.split(key)[1].split()[0]) * 1024
        return number("VmRSS:"), number("VmHWM:")

    def stop(self, how=signal.SIGINT):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()


def call(port, method, path, body=None, headers=None, timeout=120):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
    finally:
        connection.close()


def wait_until_up(process, port, path, limit=120):
    """Seconds until the path is answered with success."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        if process.child.poll() is not None:
            sys.exit(f"{process.name} ended while starting; see {process.log.name}")
        try:
            if call(port, "GET", path, timeout=2)[0] < 300:
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.01)
    sys.exit(f"{process.name} did not answer within {limit} s")


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.client_cpu = CLIENT_CPU
        self.rows = []

    def broker(self, port, data, pinned=True, **settings):
        environment = {
            "LANNA_SERVER_LISTEN": f"127.0.0.1:{port}",
            "LANNA_SERVER_WORKERS": "1",
            "LANNA_STORE_DATA": str(data),
            "LANNA_LOG_LEVEL": "warn",
            **settings,
        }
        command = [self.options.lanna, *self.options.lanna_arguments.split()]
        process = Process("lanna", command, environment, self.folder / "lanna.log", pinned)
        process.port = port
        process.started_in = wait_until_up(process, port, "/health")
        return process

    # -------------------------------------------------------------- measuring

    def wrk(self, process, shape, connections=50, seconds=None):
        """One measurement: requests per second, CPU per request, latency."""
        seconds = seconds or self.options.seconds
        command = [
            "taskset", "-c", CLIENT_CPU, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
            "--timeout", "30s", "-s", str(HERE / "shapes.lua"), f"http://127.0.0.1:{process.port}",
            "--", *map(str, shape),
        ]
        before = process.cpu()
        output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        cpu = process.cpu() - before
        line = next((l for l in output.splitlines() if l.startswith("RESULT ")), None)
        if line is None:
            sys.exit(f"wrk failed: {output}")
        result = json.loads(line[len("RESULT "):])
        result["per_second"] = result["requests"] / result["seconds"]
        result["cpu_us"] = cpu / max(result["requests"], 1) * 1e6
        if result["bad_status"] or result["socket_errors"]:
            say(f"  ! {process.name} {shape}: {result['bad_status']} bad answers, "
                f"{result['socket_errors']} socket errors")
            result["invalid"] = True
        return result

    def rounds(self, measured):
        """Measures several things in turn, several times; the median of each by name."""
        results = {name: [] for name, *_ in measured}
        for name, process, shape, *rest in measured:
            self.wrk(process, shape, seconds=1, **(rest[0] if rest else {}))
        for _ in range(self.options.rounds):
            for name, process, shape, *rest in measured:
                results[name].append(self.wrk(process, shape, **(rest[0] if rest else {})))
        middle = {}
        for name, list_ in results.items():
            list_.sort(key=lambda r: r["per_second"])
            middle[name] = list_[len(list_) // 2]
            middle[name]["spread"] = (
                (list_[-1]["per_second"] - list_[0]["per_second"]) / list_[0]["per_second"])
            if any(r.get("invalid") for r in list_):
                middle[name]["invalid"] = True
        return middle

    def row(self, shape, reached, goal, met, detail):
        self.rows.append((shape, reached, goal, met, detail))
        mark = {True: "met", False: "MISSED", None: "–"}[met]
        say(f"  {shape:<58} {reached:<16} goal {goal:<12} {mark:<7} {detail}")

    def ratio_row(self, shape, broker, ceiling, least, note=""):
        ratio = broker["per_second"] / ceiling["per_second"]
        met = ratio >= least and not broker.get("invalid")
        self.row(shape, f"{ratio:.2f}", f"≥ {least:.2f}", met,
                 f"{broker['per_second']:,.0f}/s of {ceiling['per_second']:,.0f}/s, "
                 f"CPU {broker['cpu_us']:.1f} µs of {ceiling['cpu_us']:.1f} µs "
                 f"({ceiling['cpu_us'] / broker['cpu_us']:.2f}), "
                 f"p99 {broker['p99_ms']:.1f} ms{note}")

    # ----------------------------------------------------------------- shapes

    def small(self):
        say("100 vehicles, 50 connections")
        vehicles = [vehicle(n) for n in range(VEHICLES)]
        data = self.folder / "small"
        broker = self.broker(19090, data)
        load(19090, vehicles)
        one = "/ngsi-ld/v1/entities/urn:ngsi-ld:Vehicle:%d"
        listing = "/ngsi-ld/v1/entities?type=Vehicle&limit=20"
        ceiling = self.ceiling(19191, broker, one, listing)
        links = [host_context(19090, n) for n in range(8)]
        full_type = (DEFAULT_CONTEXT + "Vehicle").replace("/", "%2F").replace(":", "%3A")
        batch = self.folder / "batch.json"
        batch.write_text(json.dumps([vehicle(n, "%V") for n in range(VEHICLES)])
                         .replace('"%V"', "%V"))
        got = self.rounds([
            ("ceiling one", ceiling, ["get", "/one"]),
            ("one", broker, ["rotate", VEHICLES, one]),
            ("ceiling list", ceiling, ["get", "/list"]),
            ("list", broker, ["get", listing]),
            ("list, other contexts", broker,
             ["get", f"/ngsi-ld/v1/entities?type={full_type}&limit=20", *links]),
            ("ceiling patch", ceiling, ["patch", VEHICLES, "/entities/%d"]),
            ("patch", broker, ["patch", VEHICLES, one + "/attrs/speed"]),
            ("batch", broker, ["batch", 20, "/ngsi-ld/v1/entityOperations/upsert", batch],
             {"connections": 8}),
        ])
        self.ratio_row("GET one entity", got["one"], got["ceiling one"], 0.80)
        self.ratio_row("GET ?type=Vehicle&limit=20", got["list"], got["ceiling list"], 0.60)
        self.ratio_row("the same, another @context each time", got["list, other contexts"],
                       got["ceiling list"], 0.30)
        self.ratio_row("PATCH one attribute, durable", got["patch"], got["ceiling patch"], 0.80)
        per_entity = got["batch"]["cpu_us"] / VEHICLES
        share = per_entity / got["patch"]["cpu_us"]
        self.row("batch upsert of 100: CPU per entity to a PATCH's", f"{share:.2f}", "≤ 0.33",
                 share <= 1 / 3 and not got["batch"].get("invalid"),
                 f"{per_entity:.1f} µs of {got['patch']['cpu_us']:.1f} µs, "
                 f"{got['batch']['per_second'] * VEHICLES:,.0f} entities/s")
        broker.stop()
        relaxed = self.broker(19092, self.folder / "relaxed", LANNA_STORE_DURABILITY="100ms")
        load(19092, vehicles)
        got_relaxed = self.rounds([
            ("ceiling one", ceiling, ["get", "/one"]),
            ("patch", relaxed, ["patch", VEHICLES, one + "/attrs/speed"]),
        ])
        self.ratio_row("PATCH one attribute, on disk within 100 ms, to a GET",
                       got_relaxed["patch"], got_relaxed["ceiling one"], 0.40)
        relaxed.stop()
        ceiling.stop()

    def ceiling(self, port, broker, one, listing):
        """A ceiling that sends what the broker sends."""
        status, headers, body = call(broker.port, "GET", one.replace("%d", "0"))
        assert status == 200, (status, body)
        (self.folder / "one.json").write_bytes(body)
        status, _, body = call(broker.port, "GET", listing)
        assert status == 200 and len(json.loads(body)) == 20, (status, body[:300])
        (self.folder / "list.json").write_bytes(body)
        say(f"  one entity {(self.folder / 'one.json').stat().st_size} bytes, "
            f"20 entities {len(body)} bytes")
        command = [self.options.ceiling, f"127.0.0.1:{port}", self.folder / "one.json",
                   self.folder / "list.json", self.folder / "ceiling", headers.get("link", "-")]
        process = Process("ceiling", command, log=self.folder / "ceiling.log")
        process.port = port
        wait_until_up(process, port, "/one")
        return process

    def large(self):
        total = self.options.entities
        sizes = [size for size in (10_000, 100_000, 1_000_000) if size < total] + [total]
        say(f"{total:,} AirQualityObserved of twelve attributes")
        data = self.folder / "large"
        broker = self.broker(19093, data, LANNA_STORE_MEMORY="0")
        kind = "type=AirQualityObserved&limit=20&count=true"
        near = lambda place: (f"{kind}&georel=near;maxDistance==2000&geometry=Point"
                              f"&coordinates=%5B{place}%5D")
        queries = {
            "q=pm25>90": f"{kind}&q=pm25%3E90",
            "near 2 km": near("99.66,18.28"),
            "q, one in a hundred": f"{kind}&q=pm25%3E%3D50;pm25%3C90",
            "near 2 km in a dense city": near("100.53,13.75"),
        }
        one = "/ngsi-ld/v1/entities/urn:ngsi-ld:AirQualityObserved:city:%d"
        stored, json_bytes, seconds, cpu = 0, 0, 0.0, 0.0
        costs = {}
        for size in sizes:
            before = broker.cpu()
            loaded = self.city(stored, size - stored, broker.port)
            cpu += broker.cpu() - before
            stored, seconds = size, seconds + loaded["seconds"]
            json_bytes += loaded["bytes"]
            for name, query in queries.items():
                path = f"/ngsi-ld/v1/entities?{query}"
                status, headers, _ = call(broker.port, "GET", path)  # builds the index
                assert status == 200, status
                matches = int(headers.get("ngsild-results-count", -1))
                costs.setdefault(name, []).append((size, matches, path))
            measured = [(name, broker, ["get", list_[-1][2]], {"connections": 10})
                        for name, list_ in costs.items()]
            measured.insert(0, ("one", broker, ["rotate", 10_000, one], {"connections": 10}))
            got = self.rounds(measured)
            for name, list_ in costs.items():
                list_[-1] = (size, list_[-1][1], got[name], got["one"])
            parts = ", ".join(
                f"{name} {got[name]['cpu_us']:.0f} µs ({list_[-1][1]:,} found)"
                for name, list_ in costs.items())
            say(f"  {size:>9,} stored: GET {got['one']['cpu_us']:.1f} µs; {parts}")
        rate = total / cpu
        self.row(f"{total:,} entities loaded, per second of one core", f"{rate:,.0f}/s",
                 "≥ 20,000/s", rate >= 20_000, f"{total / seconds:,.0f}/s by the clock")
        for name, list_ in costs.items():
            _, matches, last, get = list_[-1]
            times = last["cpu_us"] / get["cpu_us"]
            goal = name in ("q=pm25>90", "near 2 km")
            self.row(f"{name}, limit 20, count: CPU to a GET's", f"{times:.1f}×",
                     "≤ 20×" if goal else "none", times <= 20 if goal else None,
                     f"{last['cpu_us']:.0f} µs, {matches:,} found, p99 {last['p99_ms']:.1f} ms")
            if goal and len(list_) > 1:
                growth = last["cpu_us"] / list_[0][2]["cpu_us"]
                allowed = math.log(list_[-1][0]) / math.log(list_[0][0])
                self.row(f"{name}: growth from {list_[0][0]:,} to {list_[-1][0]:,}",
                         f"{growth:.2f}×", f"≤ {allowed:.2f}×", growth <= allowed,
                         "the same matches each time")
        resident, most = broker.memory()
        self.row("memory without a bound, to the documents' JSON", f"{resident / json_bytes:.2f}×",
                 "≤ 2×", resident <= 2 * json_bytes,
                 f"{resident / 1e6:,.0f} MB of {json_bytes / 1e6:,.0f} MB, "
                 f"at most {most / 1e6:,.0f} MB")
        broker.stop(signal.SIGKILL)
        self.restart(data, one, total, near("99.66,18.28"))

    def mongodb(self):
        """The broker on MongoDB, against the least that can be done with the same driver."""
        url = self.options.mongodb
        say(f"100 vehicles in MongoDB, 50 connections")
        database = f"lanna-bench-{os.getpid()}"
        settings = {"LANNA_STORE_URL": url, "LANNA_MONGODB_DATABASE": database}
        broker = self.broker(19096, self.folder / "none", **settings)
        load(19096, [vehicle(n) for n in range(VEHICLES)])
        one = "/ngsi-ld/v1/entities/urn:ngsi-ld:Vehicle:%d"
        listing = "/ngsi-ld/v1/entities?type=Vehicle&limit=20"
        status, headers, _ = call(19096, "GET", one.replace("%d", "0"))
        assert status == 200, status
        command = [self.options.mongo_ceiling, "127.0.0.1:19196", url, database,
                   headers.get("link", "-")]
        ceiling = Process("mongo_ceiling", command, log=self.folder / "mongo_ceiling.log")
        ceiling.port = 19196
        wait_until_up(ceiling, 19196, "/one/urn:ngsi-ld:Vehicle:0")
        short = "~/Vehicle"
        status, _, body = call(19196, "GET", "/list?" + short)
        assert status == 200 and len(body) > 1_000, (status, len(body))
        got = self.rounds([
            ("ceiling one", ceiling, ["rotate", VEHICLES, "/one/urn:ngsi-ld:Vehicle:%d"]),
            ("one", broker, ["rotate", VEHICLES, one]),
            ("ceiling list", ceiling, ["get", "/list?" + short]),
            ("list", broker, ["get", listing]),
            ("ceiling patch", ceiling, ["patch", VEHICLES, "/one/urn:ngsi-ld:Vehicle:%d"]),
            ("patch", broker, ["patch", VEHICLES, one + "/attrs/speed"]),
        ])
        self.ratio_row("MongoDB: GET one entity", got["one"], got["ceiling one"], 0.60)
        self.ratio_row("MongoDB: GET ?type=Vehicle&limit=20", got["list"], got["ceiling list"], 0.60)
        self.ratio_row("MongoDB: PATCH one attribute", got["patch"], got["ceiling patch"], 0.40)
        ceiling.stop()
        broker.stop()
        self.mongodb_large(url, database)

    def mongodb_large(self, url, database):
        """How much queries look at, with many entities in MongoDB."""
        total = self.options.entities
        say(f"{total:,} AirQualityObserved of twelve attributes in MongoDB")
        settings = {"LANNA_STORE_URL": url, "LANNA_MONGODB_DATABASE": database + "-large"}
        broker = self.broker(19097, self.folder / "none", pinned=False, **settings)
        began = time.monotonic()
        self.city(0, total, 19097)
        seconds = time.monotonic() - began
        self.row(f"MongoDB: {total:,} entities loaded", f"{total / seconds:,.0f}/s", "–", None, "")
        kind = "type=AirQualityObserved&limit=20"
        queries = {
            "q=pm25>90": f"{kind}&q=pm25%3E90",
            "near 2 km": (f"{kind}&georel=near;maxDistance==2000&geometry=Point"
                          "&coordinates=%5B99.66,18.28%5D"),
        }
        for name, query in queries.items():
            result = self.wrk(broker, ["get", "/ngsi-ld/v1/entities?" + query], connections=8)
            environment = {**os.environ, **settings, "LANNA_LOG_LEVEL": "warn"}
            explained = subprocess.run(
                [str(self.options.lanna), "store", "explain", query], env=environment,
                capture_output=True, text=True, check=True).stdout
            scans = "COLLSCAN" in explained
            looked = next(l for l in explained.splitlines() if l.startswith("candidates"))
            self.row(f"MongoDB: {name} in {total:,}", "by index" if not scans else "by scan",
                     "by index", not scans and not result.get("invalid"),
                     f"{result['per_second']:,.0f}/s, {looked}")
        broker.stop()

    def restart(self, data, one, total, query):
        """After a kill: the first answer, with every processor, and life within a bound."""
        for bound, name in (("0", "no bound"), ("256MiB", "a bound of 256 MiB")):
            began = time.monotonic()
            broker = self.broker(19094, data, pinned=False, LANNA_STORE_MEMORY=bound)
            status, _, _ = call(broker.port, "GET", one.replace("%d", str(total - 1)))
            first, cpu = time.monotonic() - began, broker.cpu()
            began = time.monotonic()
            call(broker.port, "GET", f"/ngsi-ld/v1/entities?{query}")
            asked = time.monotonic() - began
            self.row(f"first answer after a kill, {name}", f"{first:.1f} s", "≤ 5 s",
                     first <= 5 and status == 200,
                     f"CPU {cpu:.1f} s, on all processors; first geo-query {asked:.2f} s more")
            subprocess.run(["taskset", "-a", "-p", "-c", SERVER_CPU, str(broker.child.pid)],
                           capture_output=True, check=False)
            if bound != "0":
                got = self.wrk(broker, ["rotate", min(total, 200_000), one], connections=10)
                resident, most = broker.memory()
                self.row(f"memory with {name}", f"{resident / 1e6:,.0f} MB", "bounded", None,
                         f"at most {most / 1e6:,.0f} MB; GET over 200,000 entities "
                         f"{got['per_second']:,.0f}/s, CPU {got['cpu_us']:.1f} µs, "
                         f"p99 {got['p99_ms']:.1f} ms")
            broker.stop(signal.SIGKILL)

    def city(self, first, count, port):
        command = ["taskset", "-c", CLIENT_CPU, self.options.city, "--from", first, "--count",
                   count, "--to", f"127.0.0.1:{port}", "--batch", 1000, "--connections", 3]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"loading failed: {done.stderr}")
        return json.loads(done.stderr.strip().splitlines()[-1])


def vehicle(number, speed=None):
    """A vehicle of five attributes, about 550 bytes."""
    return {
        "id": f"urn:ngsi-ld:Vehicle:{number}",
        "type": "Vehicle",
        "brand": {"type": "Property", "value": "Songthaew"},
        "speed": {"type": "Property", "value": speed or number % 120,
                  "observedAt": "2026-03-14T02:00:00Z"},
        "location": {"type": "GeoProperty", "value": {
            "type": "Point", "coordinates": [99.66 + number / 10_000, 18.28 + number / 10_000]}},
        "isParked": {"type": "Relationship", "object": f"urn:ngsi-ld:OffStreetParking:{number % 7}"},
        "description": {"type": "Property", "value": (
            f"Vehicle {number} carries passengers and parcels between the market, the hospital "
            "and the villages around the town; it stops wherever someone waves, and its driver "
            "knows every short cut there is.")[:200]},
    }


def load(port, entities):
    status, _, body = call(port, "POST", "/ngsi-ld/v1/entityOperations/upsert",
                           json.dumps(entities), {"Content-Type": "application/json"})
    assert status in (201, 204), (status, body[:500])


def host_context(port, number):
    """A context of the same names under other terms; where it can be fetched."""
    terms = {f"{name}{number}": DEFAULT_CONTEXT + name
             for name in ("Vehicle", "brand", "speed", "isParked", "description")}
    status, headers, body = call(port, "POST", "/ngsi-ld/v1/jsonldContexts",
                                 json.dumps({"@context": terms}),
                                 {"Content-Type": "application/json"})
    assert status == 201, (status, body)
    location = headers["location"]
    return location if "://" in location else f"http://127.0.0.1:{port}{location}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    release = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"
    parser.add_argument("--lanna", default=release / "lanna")
    parser.add_argument("--lanna-arguments", default="", help="words after the broker's name")
    parser.add_argument("--ceiling", default=release / "examples" / "ceiling")
    parser.add_argument("--mongo-ceiling", default=release / "examples" / "mongo_ceiling")
    parser.add_argument("--mongodb", help="mongodb://… of this machine, to measure the broker on it")
    parser.add_argument("--city", default=release / "examples" / "city")
    parser.add_argument("--sink", default=release / "examples" / "sink")
    parser.add_argument("--readings", default=release / "examples" / "readings")
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--registrations", type=int, default=100_000)
    parser.add_argument("--readings-in-all", type=int, default=50_000_000)
    parser.add_argument("--stations", type=int, default=1_000, help="among which they are divided")
    parser.add_argument("--year-stations", type=int, default=100)
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each shape")
    parser.add_argument("--only", choices=[
        "small", "large", "mongodb", "notify", "history", "federation"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", help="where to put data; a temporary folder by default")
    options = parser.parse_args()
    if options.quick:
        options.entities = min(options.entities, 100_000)
        options.subscriptions = min(options.subscriptions, 10_000)
        options.registrations = min(options.registrations, 10_000)
        options.readings_in_all = min(options.readings_in_all, 2_000_000)
        options.stations = min(options.stations, 100)
        options.year_stations = min(options.year_stations, 20)
        options.seconds, options.rounds = 2, 2
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: apt-get install wrk util-linux")
    folder = Path(tempfile.mkdtemp(prefix="lanna-bench-", dir=options.folder))
    bench = Bench(options, folder)
    began = time.monotonic()
    try:
        if options.only in (None, "small"):
            bench.small()
        if options.only in (None, "large"):
            bench.large()
        if options.mongodb:
            bench.mongodb()
        if options.only in (None, "notify"):
            notify.measure(bench, sys.modules[__name__])
        if options.only in (None, "history"):
            history.measure(bench, sys.modules[__name__])
        if options.only in (None, "federation"):
            federation.measure(bench, sys.modules[__name__])
    finally:
        for process in Process.running:
            process.stop(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
    say(f"\n{time.monotonic() - began:.0f} s\n")
    say("| shape | reached | goal | | |\n|---|---|---|---|---|")
    for shape, reached, goal, met, detail in bench.rows:
        mark = {True: "met", False: "**missed**", None: ""}[met]
        say(f"| {shape} | {reached} | {goal} | {mark} | {detail} |")
    return 0 if all(met is not False for *_, met, _ in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
