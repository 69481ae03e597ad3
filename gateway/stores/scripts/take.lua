-- Token buckets: takes tokens for many checks in one call. For each check: from every window, or from none.
-- The arithmetic is that of gateway/core/rate_limit.py, in whole numbers below 2^53.
--
-- KEYS[i]  the record of check i: "debt at debt at ...", one pair for each window, in the order of the windows.
--          debt: token-milliseconds; at: milliseconds since the epoch.
-- ARGV     now in milliseconds, or "" for this server's own clock; then for each check:
--          cost, number of windows, and for each window: limit, period in milliseconds.
-- Returns  for each check: 1 taken, 0 not; then for each window: remaining, reset_ms, retry_after_ms.
--
-- A record expires by itself a minute after all its buckets are full, which is the same as no record.

local MARGIN_MS = 60000

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local reply = {}
local position = 2
for _, key in ipairs(KEYS) do
  local cost, count = tonumber(ARGV[position]), tonumber(ARGV[position + 1])
  position = position + 2

  local stored = {}
  local record = redis.call('GET', key)
  if record then
    for number in string.gmatch(record, '%d+') do
      stored[#stored + 1] = tonumber(number)
    end
  end

  local is_allowed = true
  local limits, periods, debts, times = {}, {}, {}, {}
  for i = 1, count do
    local limit, period = tonumber(ARGV[position]), tonumber(ARGV[position + 1])
    position = position + 2
    local debt, at = stored[2 * i - 1], stored[2 * i]
    if at then
      -- No more than a period counts, so that the product stays exact.
      local elapsed = math.min(math.max(now - at, 0), period)
      debt = math.max(0, debt - elapsed * limit)
      at = math.max(now, at)
    else
      debt, at = 0, now
    end
    if debt + cost * period > limit * period then
      is_allowed = false
    end
    limits[i], periods[i], debts[i], times[i] = limit, period, debt, at
  end

  reply[#reply + 1] = is_allowed and 1 or 0
  local parts = {}
  local full_in = 0
  for i = 1, count do
    local limit, period, debt = limits[i], periods[i], debts[i]
    local missing = debt + (cost - limit) * period
    if is_allowed then
      debt = debt + cost * period
    end
    local reset = math.ceil(debt / limit)
    reply[#reply + 1] = math.floor((limit * period - debt) / period)
    reply[#reply + 1] = reset
    reply[#reply + 1] = math.max(0, math.ceil(missing / limit))
    parts[i] = string.format('%.0f %.0f', debt, times[i])
    full_in = math.max(full_in, reset + times[i] - now)
  end
  redis.call('SET', key, table.concat(parts, ' '), 'PX', string.format('%.0f', full_in + MARGIN_MS))
end
return reply
