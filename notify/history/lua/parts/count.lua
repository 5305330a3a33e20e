-- include: notify.server.now
-- include: notify.server.whole
-- include: notify.server.lifetimes
-- Counts what happens, by the minute of the server's clock: one HINCRBY for each kind of happening. Before this part stand
-- HISTORY_MINUTE and HISTORY_HOUR, the beginnings of keys, the key HISTORY_OPEN, HISTORY_MINUTE_MS and HISTORY_HOUR_MS, lifetimes, and
-- HISTORY_FIELDS, a number of fields; all written by prelude.py. Without history HISTORY_MINUTE is false. A key that is spoilt, or that
-- the user may not write, loses counts and nothing else.
--
-- count_up(field, n, now_s): counts n more, of at least 1
--   field   words with spaces between, see docs/history.md; each name in it is as word() returns it
--   now_s   the server's clock in seconds, if the caller has read it; or nil
-- word(name) -> the name as one word
-- count_new(key, minute, field, n): called with the first count of a field. With the first one of a minute, the open hour is summed up if
--   it is another one. Beyond HISTORY_FIELDS fields the last name in a new one becomes "(other)", soon after all names
local function word(name)
  if #name > 200 then
    name = string.sub(name, 1, 200)
  end
  if string.find(name, '[%s%%%c]') then
    name = string.gsub(name, '[%s%%%c]', function(c) return string.format('%%%02X', string.byte(c)) end)
  end
  return name == '' and '%' or name
end

local function count_new(key, minute, field, n)
  local OF_TWO = {job = true, request = true} -- these name a queue and a function, or a service and a method

  local function other_of(name, all)
    local kind, what, first, rest = string.match(name, '^(%S+) (%S+) (%S+)(.*)$')
    if not kind then return name end
    if not OF_TWO[kind] then return kind .. ' ' .. what .. ' (other)' .. rest end
    return kind .. ' ' .. what .. ' ' .. (all and '(other)' or first) .. ' (other)' .. (string.match(rest, '^ %S+(.*)$') or '')
  end

  local function sums_of(hour)
    local sums, size, now = {}, 0, now_ms()
    for i = hour * 60, hour * 60 + 59 do
      local counts = HISTORY_MINUTE .. text(i)
      local flat = redis.pcall('HGETALL', counts)
      for at = 1, #flat, 2 do
        local name = flat[at]
        if not sums[name] then
          size = size + 1
          if size > HISTORY_FIELDS then name = other_of(name, true) end
        end
        sums[name] = (sums[name] or 0) + whole(flat[at + 1], 0)
      end
      redis.pcall('PEXPIRE', counts, text((i + 1) * MINUTE_MS + HISTORY_MINUTE_MS - now))
    end
    return sums
  end

  -- After a jump of the clock an hour is summed up once more. Its counts only grow then, unless minutes of it are gone.
  local function sum_up(hour)
    local counts = HISTORY_HOUR .. text(hour)
    for name, sum in pairs(sums_of(hour)) do
      if sum > whole(redis.pcall('HGET', counts, name), 0) then
        redis.pcall('HSET', counts, name, text(sum))
      end
    end
    redis.pcall('PEXPIRE', counts, HISTORY_HOUR_MS)
  end

  local size = redis.pcall('HLEN', key)
  if size == 1 then
    local hour, open = math.floor(minute / 60), whole(redis.pcall('GET', HISTORY_OPEN))
    -- Until its hour is summed up, a minute lives as long as the sum would: nothing is lost when nobody counts for a while.
    redis.pcall('PEXPIRE', key, text(math.max(HISTORY_MINUTE_MS, HISTORY_HOUR_MS)))
    redis.pcall('SET', HISTORY_OPEN, text(hour), 'PX', HISTORY_HOUR_MS)
    if open and open ~= hour then
      sum_up(open)
    end
  elseif type(size) == 'number' and size > HISTORY_FIELDS then
    redis.pcall('HDEL', key, field)
    redis.pcall('HINCRBY', key, other_of(field, size > HISTORY_FIELDS * 1.2), n)
  end
end

local function count_up(field, n, now_s)
  if not HISTORY_MINUTE then return end
  local minute = math.floor((now_s or now_us() / 1000000) / 60)
  local key = HISTORY_MINUTE .. minute
  if redis.pcall('HINCRBY', key, field, n) == n then
    count_new(key, minute, field, n)
  end
end
