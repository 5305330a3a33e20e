-- What counting what happens takes beside one HINCRBY, see parts/count.lua. The scripts that most callers wait for include nothing
-- else, and this part nothing at all: each function takes the server some time in each of their runs. Before this part stand
-- HISTORY_MINUTE and HISTORY_HOUR, the beginnings of keys, the key HISTORY_OPEN, HISTORY_MINUTE_MS and HISTORY_HOUR_MS, lifetimes, and
-- HISTORY_FIELDS, a number of fields; all written by prelude.py. Without history HISTORY_MINUTE is false. A key that is spoilt, or that
-- the user may not write, loses counts and nothing else.
--
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

  local function digits(number)
    return string.format('%.0f', number)
  end

  local function count_in(value) -- 0 for what is no number: anybody may have written it
    return type(value) == 'string' and #value <= 16 and string.find(value, '^%d+$') and tonumber(value) or 0
  end

  local function other_of(name, all)
    local kind, what, first, rest = string.match(name, '^(%S+) (%S+) (%S+)(.*)$')
    if not kind then return name end
    if not OF_TWO[kind] then return kind .. ' ' .. what .. ' (other)' .. rest end
    return kind .. ' ' .. what .. ' ' .. (all and '(other)' or first) .. ' (other)' .. (string.match(rest, '^ %S+(.*)$') or '')
  end

  local function sums_of(hour)
    local sums, size, t = {}, 0, redis.call('TIME')
    local now = t[1] * 1000 + math.floor(t[2] / 1000)
    for i = hour * 60, hour * 60 + 59 do
      local counts = HISTORY_MINUTE .. digits(i)
      local flat = redis.pcall('HGETALL', counts)
      for at = 1, #flat, 2 do
        local name = flat[at]
        if not sums[name] then
          size = size + 1
          if size > HISTORY_FIELDS then name = other_of(name, true) end
        end
        sums[name] = (sums[name] or 0) + count_in(flat[at + 1])
      end
      redis.pcall('PEXPIRE', counts, digits((i + 1) * 60000 + HISTORY_MINUTE_MS - now))
    end
    return sums
  end

  -- After a jump of the clock an hour is summed up once more. Its counts only grow then, unless minutes of it are gone.
  local function sum_up(hour)
    local counts = HISTORY_HOUR .. digits(hour)
    for name, sum in pairs(sums_of(hour)) do
      if sum > count_in(redis.pcall('HGET', counts, name)) then
        redis.pcall('HSET', counts, name, digits(sum))
      end
    end
    redis.pcall('PEXPIRE', counts, HISTORY_HOUR_MS)
  end

  local size = redis.pcall('HLEN', key)
  if size == 1 then
    local hour, open = math.floor(minute / 60), count_in(redis.pcall('GET', HISTORY_OPEN))
    -- Until its hour is summed up, a minute lives as long as the sum would: nothing is lost when nobody counts for a while.
    redis.pcall('PEXPIRE', key, digits(math.max(HISTORY_MINUTE_MS, HISTORY_HOUR_MS)))
    redis.pcall('SET', HISTORY_OPEN, digits(hour), 'PX', HISTORY_HOUR_MS)
    if open > 0 and open ~= hour then
      sum_up(open)
    end
  elseif type(size) == 'number' and size > HISTORY_FIELDS then
    redis.pcall('HDEL', key, field)
    redis.pcall('HINCRBY', key, other_of(field, size > HISTORY_FIELDS * 1.2), n)
  end
end
