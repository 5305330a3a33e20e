-- include: names
-- include: now
-- include: loss
-- include: outcome
-- include: emit
-- include: tell
-- include: waiting
-- Cancels jobs that have been held for as long as they may be.
-- ARGV    1-2 as in names.lua, then  1 how many at the most
-- returns {how many holds were over, {[queue, need] as JSON, ...} for which jobs are held}
local now = now_ms()
local ids = redis.call('ZRANGEBYSCORE', k.holds, '-inf', text(now), 'LIMIT', 0, arg(1))
for _, id in ipairs(ids) do
  local fields = read(id)
  redis.call('ZREM', k.holds, id)
  if fields.held then
    local rule = fields.on_loss == 'hold' and 'max_hold_s' or 'grace_s'
    local reason = fields.held .. ' did not come back in time (' .. rule .. ')'
    cancel_one(id, fields, ending_of(reason, now, why_lost(fields.held, rule, now), fields.held), now)
  end
end
settle(now)
return {#ids, redis.call('SMEMBERS', k.held_pairs)}
