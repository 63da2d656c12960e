-- The requests of each shape, for wrk:  wrk ... -s shapes.lua URL -- SHAPE ARGUMENTS
--
--   get PATH [LINK...]      GET; with links, each request names the next one
--   rotate COUNT PATH       GET, "%d" in the path replaced by 0 to COUNT-1 in turn
--   patch COUNT PATH        PATCH of one attribute, "%d" replaced, values that change
--   batch COUNT PATH FILE   POST of the file; "%%V" in it replaced by a value that changes
--
-- Requests are written once at the start, so that wrk spends little on them. At the end one line
-- of JSON tells what was counted.

local requests, turn = {}, 0

local function shape_get(args)
  local path = args[2]
  if not args[3] then
    requests[1] = wrk.format("GET", path)
  end
  for i = 3, #args do
    local link = string.format(
      '<%s>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"', args[i])
    requests[#requests + 1] = wrk.format("GET", path, { Link = link })
  end
end

local function shape_rotate(args)
  for i = 0, tonumber(args[2]) - 1 do
    requests[#requests + 1] = wrk.format("GET", (string.gsub(args[3], "%%d", tostring(i))))
  end
end

local function shape_patch(args)
  local count = tonumber(args[2])
  for i = 0, count * 10 - 1 do
    local path = string.gsub(args[3], "%%d", tostring(i % count))
    local body = string.format(
      '{"type":"Property","value":%d,"observedAt":"2026-03-14T02:%02d:%02dZ"}',
      i % 130, i % 60, (i * 7) % 60)
    requests[#requests + 1] =
      wrk.format("PATCH", path, { ["Content-Type"] = "application/json" }, body)
  end
end

local function shape_batch(args)
  local file = assert(io.open(args[4], "rb"))
  local text = file:read("*a")
  file:close()
  for i = 1, tonumber(args[2]) do
    local body = string.gsub(text, "%%V", tostring(i))
    requests[#requests + 1] =
      wrk.format("POST", args[3], { ["Content-Type"] = "application/json" }, body)
  end
end

local shapes = { get = shape_get, rotate = shape_rotate, patch = shape_patch, batch = shape_batch }

function init(args)
  shapes[args[1]](args)
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "bad_status": %d, "socket_errors": %d, ' ..
    '"p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "bytes": %d}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    summary.bytes))
end
