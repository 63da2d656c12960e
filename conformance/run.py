#!/usr/bin/env python3
"""Runs the cases of this folder against any NGSI-LD broker.

    conformance/run.py http://127.0.0.1:9090                    # all cases
    conformance/run.py http://127.0.0.1:9090 cases/5.6.1*.md    # some files
    conformance/run.py http://127.0.0.1:9090 --only "datasetId" # cases whose heading holds a text

How a case is written: README.md. Needs Python 3.9 or newer and nothing else. The last line is
"N passed, N failed"; the exit status is 0 if none failed.
"""

import argparse
import http.client
import json
import random
import re
import sys
import time
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"
#: What a URL may hold as it is; everything else is percent-encoded.
AS_IT_IS = "%:/?@!$&'()*+,;=-._~"


class Failure(Exception):
    """An answer is not what the case says."""


# ------------------------------------------------------------------ reading


class Block:
    """A fenced block of a case."""

    def __init__(self, kind, line, text):
        self.kind, self.line, self.text = kind, line, text


class Case:
    """A heading of the second level with the blocks below it."""

    def __init__(self, file, line, name, blocks):
        self.file, self.line, self.name, self.blocks = file, line, name, blocks


def read_cases(file):
    """The cases of a file; blocks before the first heading begin every one of them."""
    cases, common = [], []
    blocks, fence = common, None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if fence is not None:
            if line.strip() == "```":
                blocks.append(Block(fence[0], fence[1], "\n".join(fence[2])))
                fence = None
            else:
                fence[2].append(line)
        elif line.strip() in ("```http", "```answer"):
            fence = (line.strip()[3:], number, [])
        elif line.startswith("## "):
            blocks = list(common)
            cases.append(Case(file, number, line[3:].strip(), blocks))
    if fence is not None:
        sys.exit(f"{file}:{fence[1]}: the block is not closed")
    for case in cases:
        kinds = [block.kind for block in case.blocks]
        if not kinds or kinds != ["http", "answer"] * (len(kinds) // 2):
            sys.exit(f"{file}:{case.line}: a case is made of http and answer blocks in turn")
    return cases


def head_and_body(text):
    """The first line, the headers in order, and what follows the first empty line or None."""
    head, separator, body = text.partition("\n\n")
    first, *rest = head.splitlines() or [""]
    headers = []
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise Failure(f"{line!r} is no header")
        headers.append((name.strip(), value.strip()))
    return first.strip(), headers, body if separator else None


def substitute(text, values):
    """Puts values in place of ${name}, and ${repeat 3 ab} in place of ababab."""

    def one(match):
        name = match.group(1)
        if name.startswith("repeat "):
            _, count, what = name.split(" ", 2)
            return what * int(count)
        if name not in values:
            raise Failure(f"nothing was captured as {name}")
        return values[name]

    return re.sub(r"\$\{([^}]+)\}", one, text)


# ------------------------------------------------------------------ asking


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self):
        try:
            return json.loads(self.body.decode("utf-8"))
        except ValueError as error:
            raise Failure(f"the body is no JSON: {error}: {self.body[:200]!r}") from None


class Broker:
    def __init__(self, base, timeout):
        url = urllib.parse.urlsplit(base if "://" in base else f"http://{base}")
        self.secure, self.netloc, self.timeout = url.scheme == "https", url.netloc, timeout
        path = url.path.rstrip("/")
        self.root = path if path.endswith("/ngsi-ld/v1") else path + "/ngsi-ld/v1"
        self.url = f"{url.scheme}://{url.netloc}{self.root}"

    def ask(self, method, path, headers=(), body=None):
        """Sends a request as it is written; a header whose value is "-" is left out."""
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.netloc, timeout=self.timeout)
        target = urllib.parse.quote(self.root + path, safe=AS_IT_IS)
        headers = list(headers)
        given = {name.lower() for name, _ in headers}
        data = None if body is None else body.encode("utf-8")
        chunked = ("transfer-encoding", "chunked") in {(n.lower(), v) for n, v in headers}
        if data is not None and "content-type" not in given:
            headers.append(("Content-Type", "application/json"))
        if data is not None and not chunked and "content-length" not in given:
            headers.append(("Content-Length", str(len(data))))
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers:
                if value != "-":
                    connection.putheader(name, value.encode("utf-8"))
            connection.endheaders()
            if data is not None:
                if chunked:
                    data = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
                try:
                    connection.send(data)
                except OSError:
                    pass  # the broker may answer before it has read everything
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"no answer: {type(error).__name__}: {error}") from None
        finally:
            connection.close()


# ------------------------------------------------------------------ comparing

PLACEHOLDER = re.compile(r"<(any|string|number|boolean|object|array|uri|datetime|"
                         r"capture [a-z]+|/.+/)>")
DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def is_kind(kind, value):
    text = isinstance(value, str)
    return {
        "any": True,
        "string": text,
        "number": isinstance(value, (int, float)) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "uri": text and re.match(r"[A-Za-z][A-Za-z0-9+.-]*:.", value) is not None,
        "datetime": text and DATETIME.fullmatch(value) is not None,
    }[kind]


def match_text(pattern, found, values, where):
    """Compares a text with one that may hold placeholders."""
    expression, names, position = "", [], 0
    for hit in PLACEHOLDER.finditer(pattern):
        expression += re.escape(pattern[position:hit.start()])
        inner = hit.group(1)
        if inner.startswith("capture "):
            names.append(inner[8:])
            expression += "(.+)"
        elif inner.startswith("/"):
            expression += f"(?:{inner[1:-1]})"
        elif inner == "datetime":
            expression += f"(?:{DATETIME.pattern})".replace("(\\.", "(?:\\.")
        else:
            expression += ".*"
        position = hit.end()
    expression += re.escape(pattern[position:])
    hit = re.fullmatch(expression, found, re.DOTALL)
    if hit is None:
        raise Failure(f"{where} is {found!r}, not {pattern!r}")
    values.update(zip(names, hit.groups()))


def match(pattern, found, values, where="the body"):
    """Compares JSON with a pattern; the first difference is a Failure."""
    if isinstance(pattern, str):
        whole = PLACEHOLDER.fullmatch(pattern)
        if whole and not whole.group(1).startswith(("capture", "/")):
            if not is_kind(whole.group(1), found):
                raise Failure(f"{where} is {short(found)}, not {pattern}")
        elif not isinstance(found, str):
            raise Failure(f"{where} is {short(found)}, not {pattern!r}")
        else:
            match_text(pattern, found, values, where)
    elif isinstance(pattern, dict):
        match_object(pattern, found, values, where)
    elif isinstance(pattern, list):
        match_array(pattern, found, values, where)
    elif isinstance(pattern, bool) != isinstance(found, bool) or pattern != found:
        raise Failure(f"{where} is {short(found)}, not {short(pattern)}")


def match_object(pattern, found, values, where):
    if not isinstance(found, dict):
        raise Failure(f"{where} is {short(found)}, not an object")
    for name, inner in pattern.items():
        if name != "...":
            if name not in found:
                raise Failure(f"{where} has no {name!r}: {short(found)}")
            match(inner, found[name], values, f"{where}.{name}")
    extra = [name for name in found if name not in pattern]
    if extra and "..." not in pattern:
        raise Failure(f"{where} also has {', '.join(map(repr, extra))}: {short(found)}")


def match_array(pattern, found, values, where):
    if not isinstance(found, list):
        raise Failure(f"{where} is {short(found)}, not an array")
    any_order = pattern[:1] == ["<unordered>"]
    pattern = pattern[1:] if any_order else pattern
    open_ended = pattern[-1:] == ["..."]
    pattern = pattern[:-1] if open_ended else pattern
    if len(found) < len(pattern) or (len(found) > len(pattern) and not open_ended):
        raise Failure(f"{where} has {len(found)} elements, not {len(pattern)}: {short(found)}")
    rest = list(found)
    for index, inner in enumerate(pattern):
        if not any_order:
            match(inner, found[index], values, f"{where}[{index}]")
            continue
        for candidate in rest:
            try:
                match(inner, candidate, values, where)
                rest.remove(candidate)
                break
            except Failure:
                pass
        else:
            raise Failure(f"{where} has nothing like {short(inner)} among {short(rest)}")


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else text[:400] + " …"


def check(expected, answer, values):
    """Compares an answer with an answer block."""
    first, headers, body = head_and_body(expected)
    statuses, _, error = first.partition(" ")
    shown = answer.body.decode("utf-8", "replace")
    if str(answer.status) not in statuses.split("|"):
        raise Failure(f"the status is {answer.status}, not {statuses}: {shown[:400]}")
    for name, pattern in headers:
        found = answer.all(name)
        if pattern == "-":
            if found:
                raise Failure(f"the header {name} is {found[0]!r}, and should not be there")
        elif not found:
            raise Failure(f"the header {name} is missing")
        else:
            match_text(substitute(pattern, values), ", ".join(found), values, f"the header {name}")
    if error:
        kind = (answer.all("Content-Type") or [""])[0]
        if not kind.startswith("application/json"):
            raise Failure(f"an error is answered as {kind or 'nothing'}, not application/json")
        problem = answer.json()
        match({"type": ERRORS + error, "title": "<string>", "...": 0}, problem, values)
    if body is not None and body.strip():
        match(json.loads(substitute(body, values)), answer.json(), values)


# ------------------------------------------------------------------ running


def run_case(broker, case, values, shared):
    """Runs the steps of a case in order, in a tenant that nobody else uses."""
    if shared:
        empty(broker)
    else:
        seed(broker, values["run"])
    for request, expected in zip(case.blocks[::2], case.blocks[1::2]):
        try:
            line, headers, body = head_and_body(substitute(request.text, values))
            method, _, path = line.partition(" ")
            if not shared and not any(name.lower() == "ngsild-tenant" for name, _ in headers):
                headers.append(("NGSILD-Tenant", values["run"]))
            answer = broker.ask(method, path.strip(), headers, body)
            check(expected.text, answer, values)
        except Failure as failure:
            raise Failure(f"{case.file.name}:{expected.line}: {failure}") from None


def seed(broker, tenant):
    """Brings a tenant into being: reading one that never was is an error."""
    headers = [("NGSILD-Tenant", tenant)]
    entity = "urn:ngsi-ld:Seed:1"
    broker.ask("POST", "/entities", headers, json.dumps({"id": entity, "type": "Seed"}))
    broker.ask("DELETE", f"/entities/{entity}", headers)


def empty(broker):
    """Deletes all entities, for brokers that know no tenants."""
    while True:
        answer = broker.ask("GET", "/entities?local=true&limit=100")
        ids = [entity["id"] for entity in answer.json()] if answer.status == 200 else []
        if not ids:
            return
        broker.ask("POST", "/entityOperations/delete", (), json.dumps(ids))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("broker", help="its URL, like http://127.0.0.1:9090")
    parser.add_argument("files", nargs="*", type=Path, help="all cases when absent")
    parser.add_argument("--only", help="only cases whose heading holds this text")
    parser.add_argument("--shared", action="store_true",
                        help="use no tenants: DELETES ALL ENTITIES of the default one")
    parser.add_argument("--timeout", type=float, default=20)
    parser.add_argument("--verbose", action="store_true", help="name the cases that pass, too")
    options = parser.parse_args()
    broker = Broker(options.broker, options.timeout)
    files = options.files or sorted((HERE / "cases").glob("*.md"), key=clause)
    run = f"conformance{random.randrange(16 ** 8):08x}"
    passed, failed, began = 0, [], time.monotonic()
    for file in files:
        good = all_ = 0
        for case in read_cases(file):
            if options.only and options.only.lower() not in case.name.lower():
                continue
            all_ += 1
            values = {"run": f"{run}n{passed + len(failed)}", "base": broker.url}
            try:
                run_case(broker, case, values, options.shared)
                good += 1
                passed += 1
                if options.verbose:
                    print(f"   ok      {case.name}")
            except Failure as failure:
                failed.append(case)
                print(f"   FAILED  {case.name}\n           {failure}")
        if all_:
            print(f"{good:>4} of {all_:<4} {file.name}")
    print(f"{time.monotonic() - began:.1f} s")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def clause(file):
    """Sorts by clause number: 5.6.2 before 5.6.10."""
    return [int(part) for part in re.findall(r"\d+", file.name.split("-")[0])], file.name


if __name__ == "__main__":
    sys.exit(main())
