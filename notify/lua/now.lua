-- Included by every script that needs the time ("-- include: now"); it is not run by itself.
--
-- now_ms() -> the server's clock in whole milliseconds; text(n) -> a whole number as digits (".." would write 1e+15).
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function text(n)
  return string.format('%.0f', n)
end
