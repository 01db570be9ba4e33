-- Sends the requests of a file in turn: one to a line, "host<TAB>token<TAB>method<TAB>path<TAB>body". Each thread has its
-- own share of them. Prints what came of it as JSON.

local threads = 0

function setup(thread)
  thread:set("share", threads)
  threads = threads + 1
end

function init(arguments)
  local file, shares = arguments[1], tonumber(arguments[2])
  requests, at = {}, 0
  local number = 0
  for line in io.lines(file) do
    if number % shares == share then
      local host, token, method, path, body = line:match("^(.-)\t(.-)\t(.-)\t(.-)\t(.*)$")
      local headers = { Host = host, Authorization = "Bearer " .. token }
      if body ~= "" then headers["Content-Type"] = "application/json" end
      requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
    end
    number = number + 1
  end
end

function request()
  at = at + 1
  if at > #requests then at = 1 end
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"bytes":%d,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
