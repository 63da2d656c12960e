"""The rows about notifications, for run.py: what they cost a write, and what they are held up by."""

import json
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
    began = time.monotonic()
    count = options.subscriptions
    for number in range(1, count):
        subscribe(call, many.port, number, f"{to}/never",
                  entities=[{"type": f"Type{number % 1000}", "id": f"urn:ngsi-ld:Thing:{number}"}])
    bench.row(f"{count:,} subscriptions made, one by one", f"{time.monotonic() - began:.0f} s",
              "none", None, "each on disk before it is acknowledged")
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


def fast_and_slow(bench, run, broker, sink, to):
    """Ten receivers that answer at once, without and with one that takes five seconds."""
    call = run.call
    worst = {}
    for name in ("alone", "beside"):
        one = broker(19105 if name == "alone" else 19106, name)
        for number in range(10):
            # Each by another name, so that each is a receiver of its own.
            uri = f"http://127.0.0.{number + 1}:{sink.port}/fast{number}"
            subscribe(call, one.port, number, uri)
        if name == "beside":
            subscribe(call, one.port, 10, f"http://127.0.0.11:{sink.port}/slow")
        call(sink.port, "DELETE", "/counts")
        end = time.monotonic() + 3 * bench.options.seconds
        step = 0
        while time.monotonic() < end:
            step += 1
            path = PATCH % (step % run.VEHICLES)
            call(one.port, "PATCH", path, json.dumps({"type": "Property", "value": step}), JSON)
            time.sleep(0.02)
        time.sleep(1)
        seen = {p: c for p, c in counts(call, sink).items() if p.startswith("fast")}
        lost = sum(step - c["entities"] for c in seen.values())
        worst[name] = (max(c["p99_ms"] for c in seen.values()), lost)
        one.stop()
    share = worst["beside"][0] / worst["alone"][0]
    lost = worst["alone"][1] + worst["beside"][1]
    bench.row("p99 of ten fast receivers beside a slow one, to without it", f"{share:.2f}", "≤ 1.20",
              share <= 1.2 and lost == 0,
              f"{worst['beside'][0]:.1f} ms of {worst['alone'][0]:.1f} ms, {lost} lost")


def rate(bench, run, broker, sink, to):
    """A hundred subscriptions on one type: what is told per second of CPU, to a bare client's."""
    call, options = run.call, bench.options
    one = broker(19107, "hundred")
    for number in range(100):
        subscribe(call, one.port, number, f"{to}/fast{number}")
    call(sink.port, "DELETE", "/counts")
    before, steps = one.cpu(), 0
    end = time.monotonic() + 2 * options.seconds
    while time.monotonic() < end:
        steps += 1
        body = json.dumps({"type": "Property", "value": 1_000_000 + steps})
        call(one.port, "PATCH", PATCH % (steps % run.VEHICLES), body, JSON)
    seen = wait_for(call, sink, steps * 100)
    cpu = one.cpu() - before
    sent = sum(c["notifications"] for c in counts(call, sink).values())
    body = bench.folder / "notification.json"
    body.write_text(json.dumps({"id": "urn:n", "type": "Notification", "data": [run.vehicle(1)]}))
    client = run.Process("client", [options.sink, "post", f"127.0.0.1:{sink.port}", body,
                                    options.seconds, 8], log=bench.folder / "client.log")
    while client.child.poll() is None:
        bare = client.cpu()
        time.sleep(0.05)
    posted = json.loads((bench.folder / "client.log").read_text().splitlines()[-1])["sent"]
    ours, theirs = sent / cpu, posted / bare
    bench.row("notifications per second of CPU, 100 subscriptions, to a bare client's",
              f"{ours / theirs:.2f}", "≥ 0.50", ours / theirs >= 0.5 and seen == steps * 100,
              f"{ours:,.0f}/s of {theirs:,.0f}/s; {seen:,} of {steps * 100:,} changes told in "
              f"{sent:,} notifications; at most {one.memory()[1] / 1e6:,.0f} MB")
    one.stop()
