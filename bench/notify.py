"""The rows about notifications, for run.py: what they cost a write, and what they are held up by."""

import http.client
import json
import subprocess
import time

PATCH = "/ngsi-ld/v1/entities/urn:ngsi-ld:Vehicle:%d/attrs/speed"
JSON = {"Content-Type": "application/json"}


def subscribe(call, port, number, uri, **members):
    body = {
        "id": f"urn:ngsi-ld:Subscription:{number}",
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "notification": {"sysAttrs": True, "endpoint": {"uri": uri}},
        **members,
    }
    status, _, answer = call(port, "POST", "/ngsi-ld/v1/subscriptions", json.dumps(body), JSON)
    assert status == 201, (status, answer)


def counts(call, sink):
    return json.loads(call(sink.port, "GET", "/counts")[2])


def told(call, sink):
    return sum(one["entities"] for one in counts(call, sink).values())


def wait_for(call, sink, expected, limit=60):
    """Waits until so many entities were told, and returns how many were."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if told(call, sink) >= expected:
            break
        time.sleep(0.1)
    return told(call, sink)


def measure(bench, run):
    """All rows. `run` is run.py."""
    call, options = run.call, bench.options
    run.say("notifications, 100 vehicles, 50 connections")
    vehicles = [run.vehicle(n) for n in range(run.VEHICLES)]
    addresses = [f"127.0.0.{n}:19195" for n in range(1, 12)]
    sink = run.Process("sink", [options.sink, "serve", *addresses],
                       log=bench.folder / "sink.log", pinned=False)
    sink.port = 19195
    run.wait_until_up(sink, sink.port, "/counts")
    to = f"http://127.0.0.1:{sink.port}"
    shape = ["patch", run.VEHICLES, PATCH]

    def broker(port, name):
        one = bench.broker(port, bench.folder / name, LANNA_EGRESS_ALLOW_PRIVATE="true",
                           LANNA_NOTIFY_THREADS="1")
        run.load(port, vehicles)
        return one

    # A PATCH that is told, and the same without anyone to tell.
    quiet, loud = broker(19101, "quiet"), broker(19102, "loud")
    subscribe(call, loud.port, 0, f"{to}/fast")
    call(sink.port, "DELETE", "/counts")
    got = bench.rounds([("none", quiet, shape), ("told", loud, shape)])
    bench.ratio_row("PATCH that one subscription is told of, to none", got["told"], got["none"], 0.70)
    # Values repeat, so a PATCH may change nothing; what is left is told soon.
    before, after = told(call, sink), -1
    while before != after:
        before = after
        time.sleep(1)
        after = told(call, sink)
    report = json.loads(call(loud.port, "GET", "/ngsi-ld/v1/subscriptions/"
                             "urn:ngsi-ld:Subscription:0")[2])["notification"]
    bench.row("of these, notifications that failed", str(report.get("timesFailed", 0)), "0",
              report.get("timesFailed", 0) == 0, f"{after:,} changes in "
              f"{report.get('timesSent', 0):,} notifications")
    loud.stop()

    # Many subscriptions that do not match.
    many = broker(19103, "many")
    subscribe(call, many.port, 0, f"{to}/fast")
    count = options.subscriptions
    made = subprocess.run(
        list(map(str, ["taskset", "-c", run.CLIENT_CPU, options.sink, "subscribe",
                       f"127.0.0.1:{many.port}", 1, count - 1, f"{to}/never"])),
        capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise SystemExit(f"subscribing failed: {made.stderr}")
    seconds = json.loads(made.stdout.splitlines()[-1])["seconds"]
    bench.row(f"{count:,} subscriptions made", f"{seconds:.0f} s", "≤ 60 s", seconds <= 60,
              "each a request, on disk before it is acknowledged")
    one = broker(19104, "one")
    subscribe(call, one.port, 0, f"{to}/fast")
    got = bench.rounds([("one", one, shape), ("many", many, shape)])
    cost = got["many"]["cpu_us"] / got["one"]["cpu_us"]
    bench.row(f"CPU of a PATCH among {count:,} subscriptions, to among one", f"{cost:.2f}",
              "≤ 1.10", cost <= 1.1, f"{got['many']['cpu_us']:.1f} µs of {got['one']['cpu_us']:.1f} µs")
    many.stop()
    again = bench.broker(19103, bench.folder / "many", LANNA_EGRESS_ALLOW_PRIVATE="true")
    bench.row(f"start with {count:,} subscriptions", f"{again.started_in:.1f} s", "≤ 10 s",
              again.started_in <= 10, "")
    again.stop()
    one.stop()
    fast_and_slow(bench, run, broker, sink, to)
    quiet.stop()
    rate(bench, run, broker, sink, to)
    sink.stop()


class Writer:
    """Writes new values over one connection, at a fixed rate where one is given."""

    def __init__(self, run, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.vehicles = run.VEHICLES
        self.steps = 0

    def write(self):
        self.steps += 1
        body = json.dumps({"type": "Property", "value": 1_000_000 + self.steps})
        self.connection.request("PATCH", PATCH % (self.steps % self.vehicles), body, JSON)
        answer = self.connection.getresponse()
        answer.read()
        assert answer.status == 204, answer.status

    def write_for(self, seconds, per_second, every_so_often=None):
        """Writes so many a second; as many as it can if that is too much. Returns the rate reached."""
        began, done = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            if done > passed * per_second:
                time.sleep(min(0.01, done / per_second - passed))
                continue
            self.write()
            done += 1
            if every_so_often and done % 50 == 0:
                every_so_often(passed)
        return done / seconds


def fast_and_slow(bench, run, broker, sink, to):
    """Ten receivers that answer at once, without and with one that takes five seconds."""
    call = run.call
    brokers = {}
    for name, port in (("alone", 19105), ("beside", 19106)):
        one = brokers[name] = broker(port, name)
        for number in range(10):
            # Each by another address, so that each is a receiver of its own.
            uri = f"http://127.0.0.{number + 1}:{sink.port}/fast{number}"
            subscribe(call, one.port, number, uri)
    subscribe(call, brokers["beside"].port, 10, f"http://127.0.0.11:{sink.port}/slow")
    p99s, lost = {"alone": [], "beside": []}, 0
    # In turn, so that a machine that slows down slows both.
    for _ in range(bench.options.rounds):
        for name, one in brokers.items():
            call(sink.port, "DELETE", "/counts")
            writer = Writer(run, one.port)
            writer.steps = int(time.time() * 1_000)  # values that were not there before
            before = writer.steps
            writer.write_for(bench.options.seconds, 50)
            expected = (writer.steps - before) * 10
            end = time.monotonic() + 10
            fast = lambda: {p: c for p, c in counts(call, sink).items() if p.startswith("fast")}
            while time.monotonic() < end and sum(c["entities"] for c in fast().values()) < expected:
                time.sleep(0.1)
            seen = fast()
            lost += expected - sum(c["entities"] for c in seen.values())
            p99s[name].append(max(c["p99_ms"] for c in seen.values()))
    for one in brokers.values():
        one.stop()
    middle = {name: sorted(all_)[len(all_) // 2] for name, all_ in p99s.items()}
    share = middle["beside"] / middle["alone"]
    bench.row("p99 of ten fast receivers beside a slow one, to without it", f"{share:.2f}", "≤ 1.20",
              share <= 1.2 and lost == 0,
              f"{middle['beside']:.1f} ms of {middle['alone']:.1f} ms, {lost} lost")


def bare(bench, run, sink):
    """What a bare client of the broker's library posts: notifications per second of CPU, and by
    the clock."""
    body = bench.folder / "notification.json"
    body.write_text(json.dumps({"id": "urn:n", "type": "Notification", "data": [run.vehicle(1)]}))
    client = run.Process("client", [bench.options.sink, "post", f"127.0.0.1:{sink.port}", body,
                                    bench.options.seconds, 8], log=bench.folder / "client.log")
    cpu = 0.0
    while client.child.poll() is None:
        cpu = client.cpu()
        time.sleep(0.02)
    posted = json.loads((bench.folder / "client.log").read_text().splitlines()[-1])["sent"]
    return posted / max(cpu, 0.01), posted / bench.options.seconds


def rate(bench, run, broker, sink, to):
    """A hundred subscriptions on one type: what is told per second of CPU, to a bare client's; and
    what becomes of memory when twice as much is to be told as can be taken."""
    call, options = run.call, bench.options
    theirs, most = bare(bench, run, sink)
    one = broker(19107, "hundred")
    for number in range(100):
        subscribe(call, one.port, number, f"{to}/fast{number}")
    call(sink.port, "DELETE", "/counts")
    writer = Writer(run, one.port)
    before = one.cpu()
    # A third of what the bare client reaches, so that notifications are not merged much.
    reached = writer.write_for(2 * options.seconds, most / 300)
    expected = writer.steps * 100
    seen = wait_for(call, sink, expected)
    cpu = one.cpu() - before
    sent = sum(c["notifications"] for c in counts(call, sink).values())
    ours = sent / cpu
    bench.row("notifications per second of CPU, 100 subscriptions, to a bare client's",
              f"{ours / theirs:.2f}", "≥ 0.50", ours / theirs >= 0.5 and seen == expected,
              f"{ours:,.0f}/s of {theirs:,.0f}/s, the writes included; {reached:,.0f} writes/s; "
              f"{seen:,} of {expected:,} changes told in {sent:,} notifications")
    call(sink.port, "DELETE", "/counts")
    writer.steps, first = writer.steps + 1_000_000, writer.steps + 1_000_000
    memory = []
    reached = writer.write_for(4 * options.seconds, most / 50,
                               lambda passed: memory.append((passed, one.memory()[0])))
    expected = (writer.steps - first) * 100
    seen = wait_for(call, sink, expected, 180)
    # By then what waits has reached its bounds.
    early = [m for passed, m in memory if passed >= 2 * options.seconds][:1]
    start, end = (early or [memory[0][1]])[0], memory[-1][1]
    bench.row("memory while twice as much is to be told as a bare client posts",
              f"{end / start:.2f}×", "≤ 1.25×", end <= 1.25 * start and seen == expected,
              f"{end / 1e6:,.0f} MB of {start / 1e6:,.0f} MB, at most {one.memory()[1] / 1e6:,.0f} MB; "
              f"{reached * 100:,.0f} offered a second, {most:,.0f} posted by a bare client; "
              f"{seen:,} of {expected:,} told")
    one.stop()
