-- Token buckets: takes tokens for many checks in one call. For each check: from every window, or from none.
-- The arithmetic is that of gateway/core/rate_limit.py, in whole numbers below 2^53.
--
-- KEYS[i]    the record of check i: "debt told at debt told at ...", three numbers for each window, in their order.
--            debt: token-milliseconds; told: what the channel was last told of it, paid back since like the debt;
--            at: milliseconds since the epoch.
-- ARGV[1]    now in milliseconds, or "" for this server's own clock.
-- ARGV[2]    by this server's clock, when the caller stops waiting; "" for never. After that nothing is taken, so a call
--            that was late costs nobody anything.
-- ARGV[2+i]  check i: "owed cost at limit period debt limit period debt ...". owed: tokens that the caller let pass
--            without asking, taken in any case. cost: tokens to take if they are there; 0 looks only. at, and for each
--            window debt: what the caller knows of the bucket; the server may have lost its memory meanwhile.
-- Returns    now in milliseconds; then for each check "1 debt debt ..." where it was taken, else "0 debt debt ...".
--            Only now, where it was too late.
--
-- Whenever a debt has grown by a twentieth of its limit over what is told, the channel limit:told gets the name and the
-- debts, so that every worker always knows all but a twentieth of each bucket (gateway/decisions/0014).
-- A record expires by itself a minute after all its buckets are full, which is the same as no record.

local MARGIN_MS = 60000
local TOLD_PARTS = 20
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
end
local not_after = tonumber(ARGV[2])
if not_after and now > not_after then
  return {now}
end

local function numbers(text)
  local found = {}
  for number in string.gmatch(text, '%d+') do
    found[#found + 1] = tonumber(number)
  end
  return found
end

-- No more than two periods count, so that the product stays exact; no debt is larger.
local function paid(debt, since, limit, period)
  return max(0, debt - min(max(now - since, 0), 2 * period) * limit)
end

local reply = {now}
local news = {}
for i, key in ipairs(KEYS) do
  local check = numbers(ARGV[2 + i])
  local owed, cost, known_at = check[1], check[2], check[3]
  local record = redis.call('GET', key)
  local stored = record and numbers(record) or {}

  local count = (#check - 3) / 3
  local debts, tolds, times = {}, {}, {}
  local is_allowed = true
  for w = 1, count do
    local limit, period, known = check[3 * w + 1], check[3 * w + 2], check[3 * w + 3]
    local debt, told, at = stored[3 * w - 2], stored[3 * w - 1], stored[3 * w]
    if at then
      debt, told, at = paid(debt, at, limit, period), paid(told, at, limit, period), max(now, at)
    else
      debt, told, at = 0, 0, now
    end
    if known > 0 then
      debt = max(debt, paid(known, known_at, limit, period))
    end
    -- One period more than a full bucket's worth is as long as a caller may have to wait for what passed without asking.
    debt = min(debt + owed * period, 2 * limit * period)
    if debt + cost * period > limit * period then
      is_allowed = false
    end
    debts[w], tolds[w], times[w] = debt, told, at
  end

  local answer, parts = {is_allowed and '1' or '0'}, {}
  local full_in, is_news = 0, false
  for w = 1, count do
    local limit, period = check[3 * w + 1], check[3 * w + 2]
    if is_allowed then
      debts[w] = debts[w] + cost * period
    end
    if debts[w] - tolds[w] >= limit * period / TOLD_PARTS then
      is_news = true
    end
    answer[w + 1] = string.format('%.0f', debts[w])
    full_in = max(full_in, ceil(debts[w] / limit) + times[w] - now)
  end
  for w = 1, count do
    parts[w] = string.format('%.0f %.0f %.0f', debts[w], is_news and debts[w] or tolds[w], times[w])
  end
  if is_news then
    news[#news + 1] = {key, table.concat(answer, ' ', 2)}
  end
  if cost + owed > 0 or is_news then
    redis.call('SET', key, table.concat(parts, ' '), 'PX', string.format('%.0f', full_in + MARGIN_MS))
  end
  reply[#reply + 1] = table.concat(answer, ' ')
end
if #news > 0 then
  redis.call('PUBLISH', 'limit:told', cjson.encode({string.format('%.0f', now), news}))
end
return reply
