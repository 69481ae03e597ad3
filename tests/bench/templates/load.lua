-- One round of load: `wrk -s load.lua URL -- [FILE with an Authorization value a line]`. Prints one line of JSON.

function init(arguments)
  if #arguments == 0 then
    return
  end
  local requests = {}
  for line in io.lines(arguments[1]) do
    local headers = {}
    for name, value in pairs(wrk.headers) do
      headers[name] = value
    end
    headers["Authorization"] = line
    requests[#requests + 1] = wrk.format("GET", nil, headers)
  end
  local next_request = 0
  -- Set here only: as long as there is none, wrk sends the same bytes each time, which costs it less.
  request = function()
    next_request = next_request % #requests + 1
    return requests[next_request]
  end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "bad_status": %d, "broken": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
