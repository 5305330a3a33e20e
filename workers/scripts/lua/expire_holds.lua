-- include: workers.scripts.transitions
-- Cancels jobs that have been held for as long as they may be, unless what they wait for is there by now.
-- KEYS    none: they are built from the names
-- ARGV    1-2 as in names.lua, then  1 how many at the most
-- returns {how many holds were over, {[queue, need] as JSON, ...} for which jobs are held}
local w = of_waiting()
local now = now_ms()
redis.call('PEXPIRE', k.held_pairs, INDEX_MS) -- whatever is held is kept for as long as anybody looks after it
redis.call('PEXPIRE', k.holds, INDEX_MS)
local ids = redis.call('ZRANGEBYSCORE', k.holds, '-inf', text(now), 'LIMIT', 0, arg(1))
for _, id in ipairs(ids) do
  local fields = w.read(id)
  local held = fields.status == 'deferred' and fields.held
  local rule = fields.on_loss == 'hold' and 'max_hold_s' or 'grace_s'
  if held and is_there(held) then -- its turn to come back is near; should that be lost again, its time begins anew
    local most_ms = tonumber(fields.on_loss == 'hold' and fields.max_hold_ms or fields.grace_ms or '') or 0
    redis.call('ZADD', k.holds, text(now + most_ms), id)
  else
    redis.call('ZREM', k.holds, id)
    if held then
      local reason = held .. ' did not come back in time (' .. rule .. ')'
      w.cancel_one(id, fields, w.ending_of(reason, now, why_lost(held, rule, now), held), now)
    end
  end
end
settle(now)
return {#ids, redis.call('SMEMBERS', k.held_pairs)}
