-- include: workers.scripts.transitions
-- Puts held jobs back, in their old order, before jobs that came later: a few the first time, then twice as many each time, but none
-- while the last job of the batch before still waits. So a service that came back is not overrun. After another loss it starts anew.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         queue
--         need
--         first  how many the first time
--         most   how many at most
-- returns {how many were put back, how many are still held, 1 if the need is there or else 0}
local queue, need, first, most = unpack(ARGV, OWN)
local jobs = transitions()
local now = now_ms()
local held, ramp = k.held .. pair_of(queue, need), k.ramp .. pair_of(queue, need)
redis.call('PEXPIRE', held, INDEX_MS)
if presence(need) ~= 'there' then return {0, redis.call('ZCARD', held), 0} end
local serial = text(serial_of(need))
local known = redis.pcall('HMGET', ramp, 'batch', 'last', 'serial')
if known[2] and redis.pcall('HGET', k.job .. known[2], 'status') == 'queued' then
  redis.call('PEXPIRE', ramp, MINUTE_MS)
  return {0, redis.call('ZCARD', held), 1}
end
local batch = whole(known[3] == serial and known[1], tonumber(first), 1, tonumber(most))

local released, last = {}, nil
local found = redis.call('ZRANGE', held, 0, batch - 1)
local gone = {} -- from the registry of deferred jobs, and from those whose hold has an end
for _, id in ipairs(found) do
  local fields = jobs.read(id)
  if fields.status == 'deferred' and fields.held == need then -- else it was deleted, or taken out by hand
    redis.call('HDEL', k.job .. id, 'held')
    fields.needs = up_to_date(needs_of(fields) or {})
    redis.call('HSET', k.job .. id, 'status', 'queued', 'needs', fields.needs)
    local other = loss_of(fields)
    if other then
      jobs.hold(id, fields, other, redis.call('ZSCORE', k.holds, id), now) -- it stays in both
    else
      gone[#gone + 1] = id
      released[#released + 1] = id
      last = id
      note_job('released', queue, function_of(fields.data, fields.description))
      publish_job_event(queue, id, 'released', ',"need":' .. cjson.encode(need) .. ',"at_ms":' .. text(now))
    end
  end
end
if found[1] then
  redis.call('ZREM', held, unpack(found))
end
if last then
  local in_reverse = {}
  for i = #released, 1, -1 do
    in_reverse[#in_reverse + 1] = released[i]
  end
  redis.call('LPUSH', k.queue .. queue, unpack(in_reverse))
  redis.call('ZREM', k.deferred .. queue, unpack(gone))
  redis.call('ZREM', k.holds, unpack(gone))
  redis.call('HSET', ramp, 'batch', math.min(2 * batch, tonumber(most)), 'last', last, 'serial', serial)
  redis.call('PEXPIRE', ramp, MINUTE_MS)
end
local left = redis.call('ZCARD', held)
if left == 0 then
  redis.call('SREM', k.held_pairs, cjson.encode({queue, need}))
end
flush_changes(now)
return {#released, left, 1}
