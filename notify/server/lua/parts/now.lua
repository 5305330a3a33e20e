-- The time of the server, and whole numbers as text.
--
-- now_us(), now_ms() -> the server's clock in whole microseconds, milliseconds; read once, so that a script decides everything by one time
-- text(n) -> a whole number as digits (".." would write 1e+15)
local clock_us
local function now_us()
  if not clock_us then
    local t = redis.call('TIME')
    clock_us = t[1] * 1000000 + t[2]
  end
  return clock_us
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

local function text(n)
  return string.format('%.0f', n)
end
