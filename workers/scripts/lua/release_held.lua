-- include: workers.scripts.transitions
-- Puts held jobs back, in their old order, before those that came later: the first of them first, and twice as many each time, but
-- no more while the last one of the time before still waits. So a service that came back is not overrun. Another loss begins it anew.
-- KEYS    none: they are built from the names
-- ARGV    1-2 as in names.lua, then  1 queue  2 need  3 how many the first time  4 how many at the most
-- returns {how many were put back, how many are held still, whether the need is there}
local w = of_waiting()
local FORGET_MS = 60000
local queue, need, now = arg(1), arg(2), now_ms()
local held, ramp = k.held .. pair_of(queue, need), k.ramp .. pair_of(queue, need)
redis.call('PEXPIRE', held, INDEX_MS)
if not is_there(need) then return {0, redis.call('ZCARD', held), 0} end
local serial = text(serial_of(need))
local known = redis.call('HMGET', ramp, 'batch', 'last', 'serial')
if known[2] and redis.pcall('HGET', k.job .. known[2], 'status') == 'queued' then
  redis.call('PEXPIRE', ramp, FORGET_MS)
  return {0, redis.call('ZCARD', held), 1}
end
local batch = tonumber(known[3] == serial and known[1] or arg(3))

local released, last = {}, nil
for _, id in ipairs(redis.call('ZRANGE', held, 0, batch - 1)) do
  local fields = w.read(id)
  if fields.status ~= 'deferred' or fields.held ~= need then
    redis.call('ZREM', held, id) -- it is gone, or was taken out by hand
  else
    local until_ms = redis.call('ZSCORE', k.holds, id)
    w.unhold(id, fields)
    fields.needs = up_to_date(needs_of(fields) or {})
    redis.call('HSET', k.job .. id, 'status', 'queued', 'needs', fields.needs)
    local other = loss_of(fields)
    if other then
      w.hold_one(id, fields, other, until_ms, now)
    else
      released[#released + 1] = id
      last = id
      tell(queue, id, 'released', ',"need":' .. cjson.encode(need) .. ',"at_ms":' .. text(now))
    end
  end
end
for i = #released, 1, -1 do
  redis.call('LPUSH', k.queue .. queue, released[i])
end
if last then
  redis.call('HSET', ramp, 'batch', math.min(2 * batch, tonumber(arg(4))), 'last', last, 'serial', serial)
  redis.call('PEXPIRE', ramp, FORGET_MS)
end
local left = redis.call('ZCARD', held)
if left == 0 then
  redis.call('SREM', k.held_pairs, cjson.encode({queue, need}))
end
settle(now)
return {#released, left, 1}
