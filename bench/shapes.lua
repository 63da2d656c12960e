-- The requests of each shape, for wrk:  wrk ... -s shapes.lua URL -- SHAPE ARGUMENTS
--
--   get PATH [LINK...]      GET; with links, each request names the next one
--   rotate COUNT PATH       GET, "%d" in the path replaced by 0 to COUNT-1 in turn
--   patch COUNT PATH        PATCH of one attribute, "%d" replaced, values that change
--   observe COUNT PATH      the same with an observedAt that grows, as a sensor sends it
--   batch COUNT PATH FILE   POST of the file; "%%V" in it replaced by a value that changes
--
-- Requests are written once at the start, so that wrk spends little on them; of `observe` all but
-- the value and the time. At the end one line of JSON tells what was counted.

local requests, turn, make = {}, 0, nil

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

local function shape_observe(args)
  local count, begin = tonumber(args[2]), os.time()
  local template = '{"type":"Property","value":%07d,"observedAt":"%s.%03dZ"}'
  local blank = string.format(template, 1000000, "2026-03-14T02:00:00", 0)
  for i = 0, count - 1 do
    local path = string.gsub(args[3], "%%d", tostring(i))
    local whole = wrk.format("PATCH", path, { ["Content-Type"] = "application/json" }, blank)
    requests[i + 1] = string.sub(whole, 1, #whole - #blank)
  end
  local second, text
  -- Each turn around all entities is a millisecond later, from the time at which wrk began.
  make = function()
    local step = math.floor(turn / count)
    local now = begin + math.floor(step / 1000)
    if now ~= second then
      second, text = now, os.date("!%Y-%m-%dT%H:%M:%S", now)
    end
    turn = turn + 1
    return requests[turn % count + 1]
      .. string.format(template, 1000000 + turn % 1000000, text, step % 1000)
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

local shapes = {
  get = shape_get, rotate = shape_rotate, patch = shape_patch, observe = shape_observe,
  batch = shape_batch,
}

function init(args)
  shapes[args[1]](args)
end

function request()
  if make then
    return make()
  end
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
