-- include: notify.server.whole
-- Keeps account of the jumps of the server's clock, for what is to last for a time and not until one.
--
-- jumps_until(clock, now, before_ms, elapsed_ms) -> the sum of all jumps that were ever seen, in ms: a jump back counts below 0
--   clock       the key ns:clock
--   before_ms   the clock as the caller's last call returned it, or ""
--   elapsed_ms  how long ago that was at least, by the caller's own watch, which does not jump
local JUMP_MS = 2000 -- less is no jump, but a late answer or a clock that is being adjusted

local function jumps_until(clock, now, before_ms, elapsed_ms)
  local known = redis.pcall('HMGET', clock, 'at_ms', 'jumped_ms')
  local at, jumped = whole(known[1], now), whole(known[2], 0, -LARGEST)
  local jump = before_ms ~= '' and now - before_ms - elapsed_ms or 0
  -- Whoever comes first after a jump counts it: the last look of anybody was by the time from before the jump then.
  if math.abs(jump) > JUMP_MS and math.abs(now - jump - at) < math.abs(now - at) then
    jumped = jumped + jump
  elseif at - now > JUMP_MS then
    jumped = jumped + now - at
  end
  redis.call('HSET', clock, 'at_ms', text(now), 'jumped_ms', text(jumped))
  redis.call('PEXPIRE', clock, WEEK_MS)
  return jumped
end
