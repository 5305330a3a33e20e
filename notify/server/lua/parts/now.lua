-- The time of the server, and whole numbers as text.
--
-- now_us(), now_ms() -> the server's clock in whole microseconds, milliseconds
-- text(n) -> a whole number as digits (".." would write 1e+15)
local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

local function text(n)
  return string.format('%.0f', n)
end
